//! prunner itself, on threads. A whole `Runner::start` is measured, from no thread to the report.

use std::cell::Cell;
use std::collections::HashMap;

use prunner::{Context, Key, ParallelTaskRunner, Report, Runner, Sum, TaskResult};

use super::{Engine, Run};
use crate::harness::pin;
use crate::workloads::{Answer, Scope, Workload};

const MERGED: Key<Sum<u64>> = Key::new("merged");
const LOCKED: Key<u64> = Key::new("locked");
const MAPPED: Key<HashMap<String, u64>> = Key::new("mapped");

pub(crate) struct Prunner {
    pub(crate) workers: usize,
    pub(crate) pinned: bool,
}

impl Engine for Prunner {
    fn prepare<W: Workload>(&'static self, work: &'static W) -> Run {
        // The check for the pin costs a task something, so it is compiled in only where it was
        // asked for.
        if self.pinned {
            SETTLED.set(true);
            Box::new(|| run::<W, true>(work, self.workers))
        } else {
            Box::new(|| run::<W, false>(work, self.workers))
        }
    }
}

fn run<W: Workload, const PINNED: bool>(work: &W, workers: usize) -> Answer {
    let report = Runner::new(Handler::<W, PINNED> { work })
        .workers(workers)
        .start()
        .expect("no task of a benchmark fails");
    answer(&report)
}

fn answer(report: &Report) -> Answer {
    let dict = report.dict();
    let merged = dict.get(MERGED).unwrap_or_default().0;
    let locked = dict.get(LOCKED).unwrap_or_default();
    let mapped = dict.get(MAPPED).map_or(0, |map| map["sum"]);
    Answer { tasks: report.ledger().finished, sum: merged + locked + mapped }
}

struct Handler<'w, W, const PINNED: bool> {
    work: &'w W,
}

thread_local! {
    /// Whether the calling thread needs no pinning any more. The main thread, which is worker 0,
    /// never does.
    static SETTLED: Cell<bool> = const { Cell::new(false) };
}

/// prunner starts its own threads, so the first task on each has to pin it.
#[inline]
fn settle(worker: usize) {
    if !SETTLED.replace(true) {
        pin::to_worker(worker);
    }
}

impl<W: Workload, const PINNED: bool> ParallelTaskRunner for Handler<'_, W, PINNED> {
    type Task = W::Task;

    fn begin(&self, cx: &mut Context<'_, W::Task>) -> TaskResult {
        cx.post_all(self.work.root());
        Ok(())
    }

    #[inline]
    fn run(&self, task: &W::Task, cx: &mut Context<'_, W::Task>) -> TaskResult {
        if PINNED {
            settle(cx.worker());
        }
        self.work.run(task, &mut Handling(cx));
        Ok(())
    }
}

struct Handling<'c, 'r, T>(&'c mut Context<'r, T>);

impl<T> Scope<T> for Handling<'_, '_, T> {
    #[inline]
    fn post(&mut self, task: T) {
        self.0.post(task);
    }

    #[inline]
    fn post_all(&mut self, tasks: impl Iterator<Item = T>) {
        self.0.post_all(tasks);
    }

    fn flush(&mut self) {
        self.0.flush();
    }

    #[inline]
    fn add(&mut self, n: u64) {
        self.0.merge(MERGED, Sum(n));
    }

    #[inline]
    fn add_locked(&mut self, n: u64) {
        let mut dict = self.0.lock();
        match dict.get_mut(LOCKED) {
            Some(sum) => *sum += n,
            None => _ = dict.insert(LOCKED, n),
        }
    }

    #[inline]
    fn add_mapped(&mut self, n: u64) {
        let mut dict = self.0.lock();
        match dict.get_mut(MAPPED).and_then(|map| map.get_mut("sum")) {
            Some(sum) => *sum += n,
            None => _ = dict.insert(MAPPED, HashMap::from([("sum".to_owned(), n)])),
        }
    }
}
