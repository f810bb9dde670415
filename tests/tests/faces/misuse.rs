//! A misuse of prunner is blamed on the program's line.

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Scale;
