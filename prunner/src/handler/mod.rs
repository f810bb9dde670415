//! One call of a handler, on any engine: what a program implements, what a handler sees of its run, and
//! what it has done until that is committed.

mod context;
mod effects;
pub(crate) mod meter;
mod runner;

pub use context::Context;
pub(crate) use effects::{Effects, Publish};
pub use runner::ParallelTaskRunner;
