//! The programs. Each `run` starts a run on worker processes and returns what it has come to; the
//! number of tasks is asserted here, the rest by the caller.

pub(crate) mod busy;
pub(crate) mod by_calls;
pub(crate) mod flat;
pub(crate) mod gcd;
pub(crate) mod payload;
pub(crate) mod spin;
pub(crate) mod start;
pub(crate) mod sum_up;

use prunner::{Key, MessageLoop, ParallelTaskRunner, Report, Runner, Sum, worker_entry};
use serde::{Serialize, de::DeserializeOwned};

const SUM: Key<Sum<u64>> = Key::new("sum");

/// Becomes a worker if this process was started as one.
pub(crate) fn enter() {
    worker_entry::<sum_up::SumUp>();
    worker_entry::<MessageLoop>();
    worker_entry::<flat::Flat>();
    worker_entry::<payload::Payload>();
    worker_entry::<busy::Busy>();
    worker_entry::<start::Start>();
    worker_entry::<spin::Spin>();
    worker_entry::<gcd::Gcd>();
}

/// Runs `runner`, which has `tasks` tasks.
fn start<R>(runner: R, workers: usize, tasks: u64) -> Report
where
    R: ParallelTaskRunner + Serialize + DeserializeOwned + 'static,
    R::Task: Serialize + DeserializeOwned + 'static,
{
    let run = Runner::new(runner).workers(workers).processes();
    let report = run.start().expect("no task of a benchmark fails");
    assert_eq!(report.ledger().finished, tasks, "a wrong number of tasks ran");
    report
}

/// The sum that the tasks have merged.
fn sum(report: &Report) -> u64 {
    report.dict().get(SUM).unwrap_or_default().0
}
