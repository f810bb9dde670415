//! Where there are no worker processes: everything but Unix.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    engine::{Finished, stop::Stop},
    error::{Error, Kind},
    handler::ParallelTaskRunner,
    settings::Settings,
};

/// Why this process is not a worker.
#[derive(Debug)]
#[expect(dead_code, reason = "there are no worker processes here")]
pub(crate) enum NotAWorker {
    Program,
    Unclaimed(String),
}

pub(crate) fn unclaimed() -> NotAWorker {
    NotAWorker::Program
}

pub(crate) mod group {
    //! The process groups of workers.

    #[cfg(feature = "ctrlc")]
    pub(crate) fn kill_all() {}
}

/// Returns at once: here no process is started as a worker.
pub fn worker_entry<R>()
where
    R: ParallelTaskRunner + Serialize + DeserializeOwned + 'static,
    R::Task: Serialize + DeserializeOwned + 'static,
{
}

pub(crate) fn run<R: ParallelTaskRunner>(
    _: &R,
    _: &Settings,
    _: &Arc<Stop>,
) -> Result<(Finished, Option<Kind>), Error> {
    Err(Error::config(
        "there are no worker processes on this platform, only on Unix: leave processes() out to run on \
         threads",
    ))
}
