//! `wake`: how long a task lies before a sleeping worker takes it up.
//!
//! One task spins long enough for the other workers to fall asleep, posts a probe and spins on
//! until somebody else has run the probe; the probe notes how old it is. A probe that nobody takes
//! for 20 ms is given up: it counts with that age, and runs when its poster comes to it.

use std::hint;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prunner::Labeled;

use super::{Answer, Scope, Workload};
use crate::harness::clock::spin_for;

const GIVE_UP: Duration = Duration::from_millis(20);

#[derive(Labeled)]
pub(crate) enum WakeTask {
    Poster,
    Probe { number: u64, posted: Instant },
}

pub(crate) struct Wake {
    probes: u64,
    gap: Duration,
    /// The number of the last probe that ran; the first is 1.
    last: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
}

impl Wake {
    pub(crate) fn new(probes: u64, gap: Duration) -> Self {
        Wake { probes, gap, last: AtomicU64::new(0), latencies: Mutex::default() }
    }

    /// The median and the 99th percentile of the last run, in ns; the next run starts afresh.
    pub(crate) fn take_latencies(&self) -> (f64, f64) {
        self.last.store(0, Ordering::Relaxed);
        let mut latencies = std::mem::take(&mut *self.latencies.lock());
        latencies.sort();
        let at =
            |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_nanos() as f64;
        (at(50), at(99))
    }

    fn post_one(&self, number: u64, scope: &mut impl Scope<WakeTask>) {
        spin_for(self.gap);
        let posted = Instant::now();
        scope.post(WakeTask::Probe { number, posted });
        scope.flush();
        while self.last.load(Ordering::Acquire) < number {
            if posted.elapsed() > GIVE_UP {
                return;
            }
            hint::spin_loop();
        }
    }

    fn note(&self, number: u64, age: Duration) {
        self.last.fetch_max(number, Ordering::Release);
        self.latencies.lock().push(age.min(GIVE_UP));
    }
}

impl Workload for Wake {
    type Task = WakeTask;

    fn root(&self) -> Option<WakeTask> {
        Some(WakeTask::Poster)
    }

    fn run(&self, task: &WakeTask, scope: &mut impl Scope<WakeTask>) {
        match *task {
            WakeTask::Poster => (1..=self.probes).for_each(|number| self.post_one(number, scope)),
            WakeTask::Probe { number, posted } => self.note(number, posted.elapsed()),
        }
    }

    fn expected(&self) -> Answer {
        Answer { tasks: self.probes + 1, sum: 0 }
    }
}
