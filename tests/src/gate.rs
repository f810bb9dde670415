//! What tests wait on instead of sleeping.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// After this long a test that waits has failed. It is far more than any wait takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Counts arrivals and lets threads wait for a number of them.
#[derive(Debug, Default)]
pub struct Gate {
    arrived: Mutex<u64>,
    changed: Condvar,
}

impl Gate {
    /// A gate at which nobody has arrived.
    pub const fn new() -> Self {
        Self { arrived: Mutex::new(0), changed: Condvar::new() }
    }

    /// Notes one more arrival.
    pub fn arrive(&self) {
        *self.arrived.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// How many have arrived.
    pub fn arrived(&self) -> u64 {
        *self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `number` have arrived.
    ///
    /// # Panics
    ///
    /// When they do not within [`PATIENCE`]: what the test waits for does not happen.
    pub fn wait_for(&self, number: u64) {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let (arrived, _) = self
            .changed
            .wait_timeout_while(arrived, PATIENCE, |arrived| *arrived < number)
            .unwrap_or_else(PoisonError::into_inner);
        let arrived = *arrived;
        assert!(arrived >= number, "only {arrived} of {number} arrived in {PATIENCE:?}");
    }
}
