//! The engine on threads: nothing is serialized, a task is the program's own value.
//!
//! `README.md` beside this file has the protocol in numbered steps and names its hazards; the
//! comments of the code refer to both.

mod epochs;
mod label_counts;
#[cfg(all(test, prunner_loom))]
mod models;
mod parking;
mod search;
mod shared;
mod steal;
mod steal_throttle;
mod worker;

use std::{sync::Arc, thread};

use shared::Shared;
use worker::Worker;

use super::{Finished, stop::Stop};
use crate::{
    failure::Cause,
    handler::ParallelTaskRunner,
    queue::{BiasedQueue, DequeQueue, Queue},
    settings::EngineSettings,
    sync::Barrier,
};

/// Runs `begin` and all tasks; the calling thread is worker 0.
pub(crate) fn run<R: ParallelTaskRunner>(
    runner: &R,
    settings: EngineSettings,
    stop: &Arc<Stop>,
) -> Finished {
    let barrier = if settings.membarrier { Barrier::detect() } else { Barrier::Fence };
    match barrier {
        Barrier::Membarrier => run_on::<R, BiasedQueue<R::Task>>(runner, settings, stop),
        Barrier::Fence => run_on::<R, DequeQueue<R::Task>>(runner, settings, stop),
    }
}

fn run_on<R: ParallelTaskRunner, Q: Queue<R::Task>>(
    runner: &R,
    settings: EngineSettings,
    stop: &Arc<Stop>,
) -> Finished {
    let shared = Shared::<R, Q>::new(runner, settings.workers(), settings.order, Arc::clone(stop));
    let begin = thread::scope(|scope| {
        let mut caller = Worker::sit_down(&shared, scope, 0);
        let begin = caller.begin();
        caller.work();
        begin
    });
    collect(&shared, begin)
}

/// Closes the books. Whether the ledger balances is judged by the run.
fn collect<R: ParallelTaskRunner, Q: Queue<R::Task>>(
    shared: &Shared<'_, R, Q>,
    begin: Result<(), Cause>,
) -> Finished {
    let totals = shared.totals();
    let results = shared.take_results();
    let started = results.len();
    let left = results.iter().map(|result| result.left).sum();
    let rows = results.into_iter().flat_map(|result| result.labels.into_rows()).collect();
    let failures = shared.failures.finish();
    let (dict, broken) = shared.dict.finish();
    Finished { begin, totals, left, rows, failures, dict, broken, started }
}
