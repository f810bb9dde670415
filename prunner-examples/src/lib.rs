//! What the examples share: the flags that say how to run, and how they print.

mod output;
mod run_flags;

pub use output::print;
pub use run_flags::RunFlags;
