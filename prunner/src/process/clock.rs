//! The clocks by which leases expire and workers start.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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

/// The clocks of a run, and what moves them on.
pub(super) struct Clocks {
    /// The time of leases.
    pub(super) leases: Arc<HeardClock>,
    lease_ticker: Ticker,
    /// The time of workers that start.
    pub(super) starts: HeardClock,
    start_ticker: Ticker,
    /// When the parent's own lease was renewed.
    renewed: Instant,
}

impl Clocks {
    pub(super) fn new(leases: Arc<HeardClock>) -> Self {
        Self {
            leases,
            lease_ticker: Ticker::new(),
            starts: HeardClock::default(),
            start_ticker: Ticker::new(),
            renewed: Instant::now(),
        }
    }

    /// Moves both on by the time since the last tick, but by no more than so much each.
    pub(super) fn tick(&mut self, leases: Duration, starts: Duration) {
        self.lease_ticker.tick(&self.leases, leases);
        self.start_ticker.tick(&self.starts, starts);
    }

    /// Whether the parent's own lease is to be renewed, as it is now.
    pub(super) fn must_renew(&mut self, now: Instant, every: Duration) -> bool {
        let is_due = now - self.renewed >= every;
        if is_due {
            self.renewed = now;
        }
        is_due
    }
}

/// What moves a [`HeardClock`] on.
#[derive(Debug)]
struct Ticker {
    last: Instant,
}

impl Ticker {
    fn new() -> Self {
        Self { last: Instant::now() }
    }

    /// Moves the clock on by the time since the last tick, but by no more than `most`.
    fn tick(&mut self, clock: &HeardClock, most: Duration) {
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
