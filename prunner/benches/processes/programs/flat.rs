//! `flat`: `begin` posts all tasks, which do nothing, as one maps an empty function over a range.

use std::hint::black_box;

use prunner::{Context, Labeled, ParallelTaskRunner, TaskResult};
use serde::{Deserialize, Serialize};

#[derive(Labeled, Serialize, Deserialize)]
pub(crate) struct Nop(u64);

#[derive(Serialize, Deserialize)]
pub(crate) struct Flat {
    tasks: u64,
}

impl ParallelTaskRunner for Flat {
    type Task = Nop;

    fn begin(&self, cx: &mut Context<'_, Nop>) -> TaskResult {
        cx.post_all((0..self.tasks).map(Nop));
        Ok(())
    }

    fn run(&self, task: &Nop, _: &mut Context<'_, Nop>) -> TaskResult {
        black_box(task.0);
        Ok(())
    }
}

pub(crate) fn run(tasks: u64, workers: usize) {
    super::start(Flat { tasks }, workers, tasks);
}
