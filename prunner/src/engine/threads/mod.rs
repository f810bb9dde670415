//! The engine on threads: nothing is serialized, a task is the program's own value.
//!
//! `README.md` beside this file tells the protocol in numbered steps and names its hazards; the
//! comments of the code refer to both.

mod epochs;
#[cfg(all(test, prunner_loom))]
mod models;
mod parking;
mod search;
mod shared;
mod steal;
mod steal_throttle;
mod worker;

use std::{sync::Arc, thread};

use shared::Crew;
use worker::Worker;

use super::{Finished, stop::Stop};
use crate::{
    failure::Cause,
    handler::ParallelTaskRunner,
    queue::{BiasedQueue, DequeQueue, Order, Queue},
    sync::Barrier,
};

/// How a run on threads is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    pub(crate) order: Order,
    pub(crate) membarrier: bool,
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
