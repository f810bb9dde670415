//! What the tests of prunner share: what they wait on, draw from and run.

pub mod busy;
pub mod census;
pub mod deeds;
pub mod family;
pub mod gate;
pub mod kinds;
pub mod limits;
pub mod log_lines;
pub mod logbook;
pub mod meeting;
pub mod notes;
pub mod offspring;
pub mod process;
pub mod program;
pub mod random;
pub mod scale;
pub mod scratch;
pub mod setting;
pub mod stall;
pub mod sum_up;
pub mod travelling;
pub mod tree;
pub mod verdict;
#[path = "../../prunner/src/testing/watchdog/mod.rs"]
pub mod watchdog;
