//! `spin100us`: equal tasks of real work, a chain of multiplications. The work of a task is fixed
//! and not its time, so that cores which slow each other down are seen in the figures.

use std::{hint::black_box, time::Instant};

use prunner::{Context, Labeled, ParallelTaskRunner, TaskResult};
use serde::{Deserialize, Serialize};

#[derive(Labeled, Serialize, Deserialize)]
pub(crate) struct Work {
    rounds: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Spin {
    tasks: u64,
    rounds: u64,
}

impl ParallelTaskRunner for Spin {
    type Task = Work;

    fn begin(&self, cx: &mut Context<'_, Work>) -> TaskResult {
        cx.post_all((0..self.tasks).map(|_| Work { rounds: self.rounds }));
        Ok(())
    }

    fn run(&self, task: &Work, _: &mut Context<'_, Work>) -> TaskResult {
        work(task.rounds);
        Ok(())
    }
}

/// Each multiplication waits for the one before.
pub(crate) fn work(rounds: u64) {
    let next = |n: u64, _| black_box(n.wrapping_mul(6364136223846793005).wrapping_add(1));
    black_box((0..rounds).fold(1, next));
}

/// How many rounds take 100 us.
pub(crate) fn rounds_of_100_us() -> u64 {
    const MANY: u64 = 1_000_000;
    let measure = || {
        let start = Instant::now();
        work(MANY);
        start.elapsed().as_nanos() as u64
    };
    let quickest = (0..20).map(|_| measure()).min().expect("it was measured");
    MANY * 100_000 / quickest
}

pub(crate) fn run(tasks: u64, rounds: u64, workers: usize) {
    super::start(Spin { tasks, rounds }, workers, tasks);
}
