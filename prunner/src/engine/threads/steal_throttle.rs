//! How often a thief may come back.

use std::time::{Duration, Instant};

/// The least time between two thefts from one victim: else a thief of short tasks comes back all the
/// time and starves the one worker that makes them.
const BETWEEN_THEFTS: Duration = Duration::from_micros(15);

/// What keeps a thief from being a nuisance.
#[derive(Debug)]
pub(super) struct StealThrottle {
    /// Changes which victim comes first.
    pub(super) turn: usize,
    pub(super) last: Option<(usize, Instant)>,
}

impl StealThrottle {
    pub(super) fn new(me: usize) -> Self {
        Self { turn: me, last: None }
    }

    pub(super) fn allows(&self, victim: usize) -> bool {
        !self.last.is_some_and(|(last, when)| last == victim && when.elapsed() < BETWEEN_THEFTS)
    }
}
