//! Counts and times by label.

mod times;

pub(crate) use times::{Stopwatch, Times};

/// The counts and times of one label.
#[derive(Debug)]
pub(crate) struct LabelStats {
    pub(crate) id: u64,
    pub(crate) label: Box<str>,
    /// Attempts that were started; filled in at the end.
    pub(crate) started: u64,
    pub(crate) dead: u64,
    pub(crate) times: Times,
}

impl LabelStats {
    /// What was counted elsewhere.
    pub(crate) fn of(label: &str, finished: u64, dead: u64, times: Times) -> Self {
        Self { id: 0, label: label.into(), started: finished.saturating_add(dead), dead, times }
    }
}
