//! `zero_tasks` and `one_task`: what it costs to start a run and to end it.

use prunner::Labeled;

use super::{Answer, Scope, Workload};

#[derive(Labeled)]
pub(crate) enum OnlyTask {
    Only,
}

pub(crate) enum Few {
    Zero,
    One,
}

impl Workload for Few {
    type Task = OnlyTask;

    fn root(&self) -> Option<OnlyTask> {
        match self {
            Few::Zero => None,
            Few::One => Some(OnlyTask::Only),
        }
    }

    fn run(&self, _task: &OnlyTask, _scope: &mut impl Scope<OnlyTask>) {}

    fn expected(&self) -> Answer {
        Answer { tasks: u64::from(matches!(self, Few::One)), sum: 0 }
    }
}
