//! The broker in memory.

use std::time::Duration;

/// A clock that never goes back.
pub trait Clock: Send + Sync {
    /// The time since some fixed moment.
    fn now(&self) -> Duration;
}

/// The machine's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

/// The broker in memory.
#[derive(Debug)]
pub struct MemoryBroker;
