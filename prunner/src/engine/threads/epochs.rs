//! The end rule: every worker idle and every queue empty, seen twice without a change.
//!
//! Steps 4 to 6 and hazards H4 to H6 of `engine/threads/README.md`.

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering, fence};

/// One word a worker: odd while it is busy, even while it is idle. It only grows, so an unchanged
/// word means that nothing happened in between (a boolean would not: H5).
#[derive(Debug)]
pub(crate) struct Epochs(Box<[CachePadded<AtomicU64>]>);

impl Epochs {
    /// Worker 0 is the calling thread and busy from the start; the others have not started, which
    /// is a way of being idle.
    pub(crate) fn new(workers: usize) -> Self {
        let word = |worker| CachePadded::new(AtomicU64::new(u64::from(worker == 0)));
        Self((0..workers).map(word).collect())
    }

    /// Called by `worker` itself *before* it tries to take from another's queue (H4).
    ///
    /// SeqCst: on its way to the victim's lock the worker must not be overtaken by its own flag.
    pub(crate) fn set_busy(&self, worker: usize) {
        let word = &self.0[worker];
        let epoch = word.load(Ordering::Relaxed);
        debug_assert!(epoch.is_multiple_of(2), "worker {worker} is already busy");
        word.store(epoch + 1, Ordering::SeqCst);
    }

    /// Called by `worker` itself after it found its own queue empty while holding no task.
    ///
    /// Release: a worker that sees this one idle sees everything that it posted before.
    pub(crate) fn set_idle(&self, worker: usize) {
        let word = &self.0[worker];
        let epoch = word.load(Ordering::Relaxed);
        debug_assert!(!epoch.is_multiple_of(2), "worker {worker} is already idle");
        word.store(epoch + 1, Ordering::Release);
    }

    /// Whether the run is over. `nothing_queued` looks at all queues.
    ///
    /// True is the truth for ever: at one instant between the two scans all were idle with nothing
    /// queued, and only a busy worker creates tasks. False may be out of date at once; a worker that turns
    /// idle later asks again.
    pub(crate) fn quiescent(&self, nothing_queued: impl Fn() -> bool) -> bool {
        let Some(first) = self.all_idle() else { return false };
        if !nothing_queued() {
            return false;
        }
        // The second scan must not move up in front of the look at the queues.
        fence(Ordering::Acquire);
        self.all_idle() == Some(first)
    }

    /// One scan: the sum of all epochs if all are even. No epoch ever falls, so two equal sums mean
    /// that none has changed.
    fn all_idle(&self) -> Option<u64> {
        self.0.iter().try_fold(0, |sum, word| {
            let epoch = word.load(Ordering::Acquire);
            epoch.is_multiple_of(2).then_some(sum + epoch)
        })
    }
}

#[cfg(all(test, not(prunner_loom)))]
mod tests {
    use super::*;

    /// Two workers, both idle.
    fn idle() -> Epochs {
        let epochs = Epochs::new(2);
        epochs.set_idle(0);
        epochs
    }

    #[test]
    fn all_idle_with_nothing_queued_is_the_end() {
        assert!(idle().quiescent(|| true));
        assert!(!idle().quiescent(|| false));
        assert!(!Epochs::new(2).quiescent(|| true), "worker 0 is busy");
    }

    /// H6: a worker that takes a task behind the first scan is seen by the second.
    #[test]
    fn a_worker_that_turns_busy_between_the_scans_is_seen() {
        let epochs = idle();
        assert!(!epochs.quiescent(|| {
            epochs.set_busy(1);
            true
        }));
    }

    /// H5: so is one that has taken a task and is idle again.
    #[test]
    fn a_worker_that_was_busy_between_the_scans_is_seen() {
        let epochs = idle();
        assert!(!epochs.quiescent(|| {
            epochs.set_busy(1);
            epochs.set_idle(1);
            true
        }));
    }
}
