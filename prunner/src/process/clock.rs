//! The clock by which leases expire.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::broker::Clock;

/// A clock that the supervisor moves on, after it has heard what the workers have said.
///
/// If it does not, because this process was stopped or the machine was overloaded, no time passes: the
/// workers could not renew their leases meanwhile, and have lost nothing.
#[derive(Debug, Default)]
pub(super) struct HeardClock {
    nanos: AtomicU64,
}

impl Clock for HeardClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Acquire))
    }
}

/// What moves a [`HeardClock`] on.
#[derive(Debug)]
pub(super) struct Ticker {
    last: Instant,
}

impl Ticker {
    pub(super) fn new() -> Self {
        Self { last: Instant::now() }
    }

    /// Moves the clock on by the time since the last tick, but by no more than `most`.
    pub(super) fn tick(&mut self, clock: &HeardClock, most: Duration) {
        let now = Instant::now();
        let passed = (now - self.last).min(most);
        self.last = now;
        let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        clock.nanos.fetch_add(passed, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pause_counts_as_a_short_one() {
        let (clock, mut ticker) = (HeardClock::default(), Ticker::new());
        ticker.last -= Duration::from_secs(60);
        ticker.tick(&clock, Duration::from_secs(1));
        assert_eq!(clock.now(), Duration::from_secs(1));
        ticker.tick(&clock, Duration::from_secs(1));
        assert!(clock.now() < Duration::from_secs(2));
    }
}
