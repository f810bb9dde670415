//! `flat`: one task posts all the others, which do nothing. A task is 16 bytes.

use std::hint::black_box;

use prunner::Labeled;

use super::{Answer, Scope, Workload};

#[derive(Labeled)]
pub(crate) enum FlatTask {
    Root(u64),
    Nop(u64),
}

pub(crate) struct Flat {
    tasks: u64,
}

impl Flat {
    pub(crate) fn new(tasks: u64) -> Self {
        Flat { tasks }
    }
}

impl Workload for Flat {
    type Task = FlatTask;

    fn root(&self) -> Option<FlatTask> {
        Some(FlatTask::Root(self.tasks))
    }

    #[inline]
    fn run(&self, task: &FlatTask, scope: &mut impl Scope<FlatTask>) {
        match *task {
            FlatTask::Root(n) => scope.post_all((0..n).map(FlatTask::Nop)),
            FlatTask::Nop(n) => {
                black_box(n);
            }
        }
    }

    fn expected(&self) -> Answer {
        Answer { tasks: self.tasks + 1, sum: 0 }
    }
}
