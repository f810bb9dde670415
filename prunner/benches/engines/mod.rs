//! The engines compared: prunner, a plain loop, and what people use or write instead.

pub(crate) mod async_executor;
pub(crate) mod board;
pub(crate) mod channel;
pub(crate) mod condvar;
pub(crate) mod job;
pub(crate) mod pending;
pub(crate) mod prunner;
pub(crate) mod rayon;
pub(crate) mod seat;
pub(crate) mod serial;
pub(crate) mod tokio;

use crate::workloads::{Answer, Workload};

/// A whole run, from the first task to the answer.
pub(crate) type Run = Box<dyn Fn() -> Answer>;

/// Something that runs workloads. An engine lives as long as the process, see [`Workload`].
pub(crate) trait Engine: 'static {
    /// Sets up what can be set up before the clock starts.
    fn prepare<W: Workload>(&'static self, work: &'static W) -> Run;
}

/// Makes a value live as long as the process.
pub(crate) fn forever<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
