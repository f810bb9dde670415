//! The engine on threads: nothing is serialized, a task is the program's own value.
//!
//! `README.md` beside this file tells the protocol in numbered steps and names its hazards; the
//! comments of the code refer to both.

pub(crate) mod biased;
mod crew;
mod idle;
#[cfg(all(test, prunner_loom))]
mod models;
pub(crate) mod queue;
mod search;
pub(crate) mod stop;
mod tally;
mod times;
mod wake;
mod worker;

pub(crate) use tally::Row;
pub(crate) use times::{Stopwatch, Times};

use std::{sync::Arc, thread};

use crew::Crew;
pub(crate) use crew::Totals;
use queue::{BiasedQueue, DequeQueue, Order, Queue};
use stop::Stop;
use worker::Worker;

use crate::{
    dict::Dict,
    failure::{Cause, Failure},
    runner::ParallelTaskRunner,
    sync::Barrier,
};

/// How a run on threads is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    pub(crate) order: Order,
    pub(crate) membarrier: bool,
}

/// What is known when the last worker has stopped.
pub(crate) struct Finished {
    /// How `begin` ended.
    pub(crate) begin: Result<(), Cause>,
    pub(crate) totals: Totals,
    /// Tasks that were found in the queues when the run was over, each counted as it was dropped.
    pub(crate) left: u64,
    pub(crate) rows: Vec<Row>,
    /// How the first tasks died.
    pub(crate) failures: Vec<Failure>,
    pub(crate) dict: Dict,
    /// Why the dict is not whole, if it is not.
    pub(crate) broken: Option<String>,
    /// How many workers were really started.
    pub(crate) started: usize,
}

/// Runs `begin` and all tasks; the calling thread is worker 0.
pub(crate) fn run<R: ParallelTaskRunner>(runner: &R, setup: Setup, stop: &Arc<Stop>) -> Finished {
    let barrier = if setup.membarrier { Barrier::detect() } else { Barrier::Fence };
    match barrier {
        Barrier::Membarrier => run_on::<R, BiasedQueue<R::Task>>(runner, setup, stop),
        Barrier::Fence => run_on::<R, DequeQueue<R::Task>>(runner, setup, stop),
    }
}

fn run_on<R: ParallelTaskRunner, Q: Queue<R::Task>>(
    runner: &R,
    setup: Setup,
    stop: &Arc<Stop>,
) -> Finished {
    let crew = Crew::<R, Q>::new(runner, setup.workers, setup.order, Arc::clone(stop));
    let begin = thread::scope(|scope| {
        let mut caller = Worker::sit_down(&crew, scope, 0);
        let begin = caller.begin();
        caller.work();
        begin
    });
    sum_up(&crew, begin)
}

/// Closes the books. Whether the ledger balances is judged by the run.
fn sum_up<R: ParallelTaskRunner, Q: Queue<R::Task>>(
    crew: &Crew<'_, R, Q>,
    begin: Result<(), Cause>,
) -> Finished {
    let totals = crew.totals();
    let outcomes = crew.take_outcomes();
    let started = outcomes.len();
    let left = outcomes.iter().map(|outcome| outcome.left).sum();
    let rows = outcomes.into_iter().flat_map(|outcome| outcome.tally.into_rows()).collect();
    let failures = crew.failures.finish();
    let (dict, broken) = crew.dict.finish();
    Finished { begin, totals, left, rows, failures, dict, broken, started }
}
