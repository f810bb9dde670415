//! What the tests of prunner share: the models of the threads engine's protocols, and what the
//! integration tests wait on, draw from and run.

pub mod census;
pub mod family;
pub mod gate;
pub mod log_lines;
pub mod model;
pub mod notes;
pub mod process;
pub mod program;
pub mod random;
pub mod scale;
pub mod setting;
pub mod tree;
pub mod watchdog;
