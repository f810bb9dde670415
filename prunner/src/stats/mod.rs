//! Counts and times by label.

mod labels;
mod times;

pub(crate) use labels::{LabelStats, LabelTable};
pub(crate) use times::{Stopwatch, Times};
