//! What handlers note down for the test to read, in the order in which it happened.

use std::sync::{Mutex, PoisonError};

/// A list that all workers write to.
#[derive(Debug)]
pub struct Notes<T>(Mutex<Vec<T>>);

impl<T> Notes<T> {
    /// Nothing noted yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Notes `item`.
    pub fn add(&self, item: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(item);
    }

    /// Takes all that was noted.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Default for Notes<T> {
    fn default() -> Self {
        Self::new()
    }
}
