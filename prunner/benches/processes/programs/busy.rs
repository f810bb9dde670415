//! `busy`: chains of tasks that spin for 100 us, many more chains than workers, so that all of them
//! work all the time. A worker says on standard output when it runs its first task.

use std::{sync::Once, time::Duration};

use prunner::{Context, Labeled, ParallelTaskRunner, Sum, TaskResult};
use serde::{Deserialize, Serialize};

use super::SUM;
use crate::harness::clock::spin_for;

const CHAINS: u64 = 200;

#[derive(Labeled, Serialize, Deserialize)]
pub(crate) struct Link(u64);

#[derive(Serialize, Deserialize)]
pub(crate) struct Busy {
    length: u64,
}

impl ParallelTaskRunner for Busy {
    type Task = Link;

    fn begin(&self, cx: &mut Context<'_, Link>) -> TaskResult {
        cx.post_all((0..CHAINS).map(|_| Link(self.length)));
        Ok(())
    }

    fn run(&self, task: &Link, cx: &mut Context<'_, Link>) -> TaskResult {
        static FIRST: Once = Once::new();
        FIRST.call_once(|| println!("{}", std::process::id()));
        spin_for(Duration::from_micros(100));
        cx.merge(SUM, Sum(1));
        if task.0 > 1 {
            cx.post(Link(task.0 - 1));
        }
        Ok(())
    }
}

/// Runs about `tasks` tasks and returns how many.
pub(crate) fn run(tasks: u64, workers: usize) -> u64 {
    let length = tasks / CHAINS;
    super::sum(&super::start(Busy { length }, workers, CHAINS * length))
}
