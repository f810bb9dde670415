//! `idle`: what workers without work cost while one worker is busy for long.
//!
//! Short tasks come first, so that every worker has been up; the long one then lets them fall
//! asleep and compares the CPU time of the process with its own.

use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prunner::Labeled;

use super::{Answer, Scope, Workload};
use crate::harness::clock::{process_cpu, spin_for, thread_cpu};

const SHORT_TASKS: u64 = 100;
const SHORT: Duration = Duration::from_micros(50);

/// The short tasks are over after this.
const SETTLE: Duration = Duration::from_millis(20);

#[derive(Labeled)]
pub(crate) enum IdleTask {
    Root,
    Long,
    Short,
}

pub(crate) struct Idle {
    length: Duration,
    percent: Mutex<f64>,
}

impl Idle {
    pub(crate) fn new(length: Duration) -> Self {
        Idle { length, percent: Mutex::new(0.0) }
    }

    /// CPU time of all other threads during the long task of the last run, in percent of one core.
    pub(crate) fn percent(&self) -> f64 {
        *self.percent.lock()
    }

    fn run_long(&self) {
        thread::sleep(SETTLE);
        let (start, own, all) = (Instant::now(), thread_cpu(), process_cpu());
        spin_for(self.length);
        let (own, all) = (thread_cpu() - own, process_cpu() - all);
        *self.percent.lock() =
            100.0 * all.saturating_sub(own).as_secs_f64() / start.elapsed().as_secs_f64();
    }
}

impl Workload for Idle {
    type Task = IdleTask;

    fn root(&self) -> Option<IdleTask> {
        Some(IdleTask::Root)
    }

    fn run(&self, task: &IdleTask, scope: &mut impl Scope<IdleTask>) {
        match task {
            IdleTask::Root => {
                scope.post(IdleTask::Long);
                scope.post_all((0..SHORT_TASKS).map(|_| IdleTask::Short));
            }
            IdleTask::Long => self.run_long(),
            IdleTask::Short => spin_for(SHORT),
        }
    }

    fn expected(&self) -> Answer {
        Answer { tasks: SHORT_TASKS + 2, sum: 0 }
    }
}
