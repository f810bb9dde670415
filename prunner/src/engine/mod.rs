//! What an engine is given and what it returns, and the two engines: threads of this process, and workers
//! that lease their tasks from a broker.

#[cfg(all(unix, not(prunner_unsupported)))]
pub(crate) mod lease;
pub(crate) mod stop;
pub(crate) mod threads;

use crate::{
    dict::Dict,
    failure::{Cause, Failure},
    stats::LabelStats,
};

/// What is known when the last worker has stopped.
pub(crate) struct Finished {
    /// How `begin` ended.
    pub(crate) begin: Result<(), Cause>,
    pub(crate) totals: Totals,
    /// Tasks that were found in the queues when the run was over, each counted as it was dropped.
    pub(crate) left: u64,
    pub(crate) rows: Vec<LabelStats>,
    /// How the first tasks died.
    pub(crate) failures: Vec<Failure>,
    pub(crate) dict: Dict,
    /// Why the dict is not whole, if it is not.
    pub(crate) broken: Option<String>,
    /// How many workers were really started.
    pub(crate) started: usize,
}

/// What happened to the tasks of a run, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) posted: u64,
    pub(crate) finished: u64,
    pub(crate) dead: u64,
}
