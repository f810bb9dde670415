//! What ends a run: the last task, an interrupt, or a failed `begin`.

use std::{fmt, sync::OnceLock};

use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// Whether workers go on. It leaves [`GOING`](Phase) once and never comes back.
pub(crate) struct Stop {
    phase: AtomicU64,
    interrupted: AtomicBool,
    /// Wakes who sleeps without looking.
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Why workers stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Phase {
    /// They do not.
    Going = 0,
    /// All tasks are finished.
    Done,
    /// Running handlers finish, nothing new starts.
    Draining,
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self {
            phase: AtomicU64::new(Phase::Going as u64),
            interrupted: AtomicBool::new(false),
            wake: OnceLock::new(),
        }
    }

    /// Calls `wake` when the run is stopped.
    pub(crate) fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        let set = self.wake.set(Box::new(wake));
        debug_assert!(set.is_ok(), "a run has one who waits");
    }

    /// One load of a line that hardly ever changes: this is asked before every task.
    #[inline(always)]
    pub(crate) fn is_going(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::Going as u64
    }

    /// Says that all tasks are finished.
    pub(crate) fn done(&self) {
        self.leave_going(Phase::Done);
    }

    /// Stops the run because of a failure. Parked workers are woken by the first worker that sees
    /// it; one must be running, else the run is over.
    pub(crate) fn drain(&self) {
        self.leave_going(Phase::Draining);
    }

    /// Stops the run because the user wants it.
    #[cfg(feature = "ctrlc")]
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        self.drain();
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    fn leave_going(&self, phase: Phase) {
        // Whoever comes second has nothing to say: a drained run is not done, and a finished one
        // has nothing to drain.
        let _ = self.phase.compare_exchange(
            Phase::Going as u64,
            phase as u64,
            Ordering::SeqCst,
            Ordering::Relaxed,
        );
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("phase", &self.phase).finish_non_exhaustive()
    }
}
