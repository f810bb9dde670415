//! Posts on their way to those that wait.

use super::lanes::Lane;
use crate::failure::Failure;

/// Posts of a handler that has just ended, or flushes, as bytes.
#[derive(Default)]
pub(super) struct Outgoing {
    /// By priority.
    pub(super) lanes: [Lane; 3],
    pub(super) posted: u64,
    /// Those that cannot be written.
    pub(super) unsent: Vec<Failure>,
}
