//! Where there are no worker processes: everything but Unix.

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    engine::{Finished, stop::Stop},
    error::{Error, Kind},
    handler::ParallelTaskRunner,
    queue::Order,
};

/// What a worker may use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) memory: Option<u64>,
    pub(crate) cpu: Option<Duration>,
    pub(crate) task: Option<Duration>,
    pub(crate) payload: u64,
}

pub(crate) const MOST_PAYLOAD: u64 = 192 << 20;

/// How a run on worker processes would be set up.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "there are no worker processes here")]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    pub(crate) threads: u16,
    pub(crate) order: Order,
    pub(crate) lease: Duration,
    pub(crate) limits: Limits,
    pub(crate) max_interruptions: u32,
    pub(crate) max_deaths: u32,
    pub(crate) start_timeout: Duration,
    pub(crate) prefixed: bool,
}

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
    _: Setup,
    _: &Arc<Stop>,
) -> Result<(Finished, Option<Kind>), Error> {
    Err(Error::config(
        "there are no worker processes on this platform, only on Unix: leave processes() out to run on \
         threads",
    ))
}
