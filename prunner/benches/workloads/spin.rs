//! `spin*`: equal tasks that keep a core busy for a given time.
//!
//! The time is wall time, so that a task which loses its core for a while does not do more work
//! later. With more workers than cores the spins would overlap and look too fast: the ideal counts
//! the cores.

use std::time::Duration;

use prunner::Labeled;

use super::{Answer, Scope, Workload};
use crate::harness::clock::spin_for;

#[derive(Labeled)]
pub(crate) enum SpinTask {
    Root,
    Spin,
}

pub(crate) struct Spin {
    tasks: u64,
    length: Duration,
}

impl Spin {
    pub(crate) fn new(tasks: u64, length: Duration) -> Self {
        Spin { tasks, length }
    }
}

impl Workload for Spin {
    type Task = SpinTask;

    fn root(&self) -> Option<SpinTask> {
        Some(SpinTask::Root)
    }

    #[inline]
    fn run(&self, task: &SpinTask, scope: &mut impl Scope<SpinTask>) {
        match task {
            SpinTask::Root => scope.post_all((0..self.tasks).map(|_| SpinTask::Spin)),
            SpinTask::Spin => spin_for(self.length),
        }
    }

    fn expected(&self) -> Answer {
        Answer { tasks: self.tasks + 1, sum: 0 }
    }
}
