//! How long a lease is worked on before it is committed.

use std::{
    mem,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{slot::Slot, state::State};

/// How long a worker runs a lease and its descendants before it commits.
const SLICE: Duration = Duration::from_millis(5);

/// How long it runs them at least when others wait for tasks: a commit costs some tens of microseconds.
const SHORT_SLICE: Duration = Duration::from_micros(200);

/// How long it keeps the dict's lock at least when others wait for it: handing it over costs as much.
const LOCK_SLICE: Duration = Duration::from_millis(1);

/// About how often it looks at the clock.
const LOOK_EVERY: Duration = Duration::from_micros(50);

/// Decides how long a lease is worked on.
pub(super) struct Slice {
    /// When the lease was taken up.
    begun: Instant,
    /// The same, without what it has waited for.
    start: Instant,
    last: Duration,
    /// Tasks between two looks at the clock, and until the next.
    step: u32,
    left: u32,
}

impl Slice {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self { begun: now, start: now, last: Duration::ZERO, step: 1, left: 1 }
    }

    /// Measures anew how long the lease is worked on.
    pub(super) fn restart(&mut self) {
        *self = Self { begun: self.begun, ..Self::begin() };
    }

    #[inline]
    pub(super) fn is_over(&mut self, slot: &Slot, state: &mut State) -> bool {
        self.left = self.left.saturating_sub(1);
        let wanted = slot.tasks_wanted.load(Ordering::Relaxed)
            || slot.lock_wanted.load(Ordering::Relaxed)
            || state.lease.waited;
        (self.left == 0 || wanted) && self.look(slot, state)
    }

    /// Looks at the clock.
    #[cold]
    fn look(&mut self, slot: &Slot, state: &mut State) -> bool {
        if mem::take(&mut state.lease.waited) {
            self.restart();
        }
        let tasks_wanted = slot.tasks_wanted.load(Ordering::Relaxed) && state.has_surplus();
        let lock_wanted = slot.lock_wanted.load(Ordering::Relaxed) && state.lease.held;
        if self.left > 0 && !tasks_wanted && !lock_wanted {
            return false;
        }
        let elapsed = self.start.elapsed();
        if self.left == 0 {
            let each = (elapsed - self.last).as_nanos() / u128::from(self.step);
            self.step = (LOOK_EVERY.as_nanos() / each.max(1)).clamp(1, 1024) as u32;
            (self.last, self.left) = (elapsed, self.step);
        }
        elapsed >= SLICE
            || (tasks_wanted && self.begun.elapsed() >= SHORT_SLICE)
            || (lock_wanted && elapsed >= LOCK_SLICE)
    }
}
