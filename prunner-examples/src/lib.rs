//! What the examples share: the flags that say how to run, how they print, and paths that travel.

mod file_path;
mod output;
mod run_flags;

pub use file_path::FilePath;
pub use output::print;
pub use run_flags::RunFlags;
