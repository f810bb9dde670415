//! What the workers of one run share.

use std::sync::{Arc, OnceLock};

use crossbeam_utils::CachePadded;

use super::{epochs::Epochs, label_counts::LabelCounts, parking::Sleepers};
use crate::{
    dict::{Attempts, Merges, SharedDict},
    engine::{Totals, stop::Stop},
    failure::{Failure, FailureLog},
    handler::ParallelTaskRunner,
    queue::{Order, Queue, Stealer as _},
    sync::{AtomicU64, Mutex, Ordering},
};

/// What one run consists of, seen by all its workers.
pub(crate) struct Shared<'r, R: ParallelTaskRunner, Q: Queue<R::Task>> {
    pub(super) runner: &'r R,
    pub(super) dict: SharedDict,
    pub(super) stop: Arc<Stop>,
    pub(super) epochs: Epochs,
    pub(super) sleepers: Sleepers,
    pub(super) order: Order,
    pub(super) failures: Failures,
    /// What the others see of each worker, from its start on: a run of few tasks with many workers pays
    /// for those that it needs.
    remotes: Box<[OnceLock<Remote<Q::Stealer>>]>,
    results: Mutex<Vec<WorkerResult>>,
}

/// What the others see of a worker that has started.
pub(super) struct Remote<S> {
    pub(super) stealer: S,
    pub(super) counts: CachePadded<Counts>,
    pub(super) attempts: Attempts,
}

/// How many tasks one worker has posted and brought to an end: plain stores, summed when asked for.
#[derive(Debug, Default)]
pub(super) struct Counts {
    posted: AtomicU64,
    dead: AtomicU64,
}

impl Counts {
    /// Must come before the tasks that posted them end, and before they are published (H10).
    #[inline(always)]
    pub(super) fn count_posted(&self, tasks: usize) {
        add(&self.posted, tasks as u64);
    }

    pub(super) fn count_dead(&self) {
        add(&self.dead, 1);
    }
}

/// Only the worker itself writes its counts, so this needs no read-modify-write.
#[inline(always)]
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed) + more, Ordering::Release);
}

/// What a worker leaves behind.
pub(super) struct WorkerResult {
    pub(super) labels: LabelCounts,
    /// How many tasks were in its queue when it stopped.
    pub(super) left: u64,
}

/// The failures of a run: the first ones in full, the others as a number.
#[derive(Debug, Default)]
pub(super) struct Failures {
    first: Mutex<Vec<Failure>>,
    log: FailureLog,
}

/// How many failures are kept in full.
const KEPT_FAILURES: usize = 100;

impl Failures {
    pub(super) fn add(&self, failure: Failure) {
        self.log.add(format_args!("task died on worker {}", failure.worker()), &failure);
        let mut first = self.first.lock();
        if first.len() < KEPT_FAILURES {
            first.push(failure);
        }
    }

    /// Takes the first ones, at the end of the run.
    pub(super) fn finish(&self) -> Vec<Failure> {
        self.log.sum_up();
        std::mem::take(&mut *self.first.lock())
    }
}

impl<'r, R: ParallelTaskRunner, Q: Queue<R::Task>> Shared<'r, R, Q> {
    pub(super) fn new(runner: &'r R, workers: usize, order: Order, stop: Arc<Stop>) -> Self {
        Self {
            runner,
            dict: SharedDict::new(),
            stop,
            epochs: Epochs::new(workers),
            sleepers: Sleepers::new(workers),
            order,
            failures: Failures::default(),
            remotes: (0..workers).map(|_| OnceLock::new()).collect(),
            results: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.remotes.len()
    }

    /// Gives `worker`, which starts, what is its own, and shows its remote to the others.
    pub(super) fn set_up(&self, worker: usize) -> (Q, Merges, &Remote<Q::Stealer>) {
        let (queue, stealer) = Q::new(self.order);
        let attempts = Attempts::default();
        let merges = self.dict.join(&attempts, Q::BARRIER);
        let remote = Remote { stealer, counts: CachePadded::default(), attempts };
        (queue, merges, self.remotes[worker].get_or_init(|| remote))
    }

    /// The queue of `worker`, if it has started.
    pub(super) fn stealer(&self, worker: usize) -> Option<&Q::Stealer> {
        self.remotes[worker].get().map(|remote| &remote.stealer)
    }

    /// Whether `worker` has a task to give away.
    pub(super) fn shows_work(&self, worker: usize) -> bool {
        self.stealer(worker).is_some_and(|stealer| stealer.shows_work())
    }

    /// Whether anybody has a task to give away.
    pub(super) fn anybody_shows_work(&self) -> bool {
        (0..self.workers()).any(|worker| self.shows_work(worker))
    }

    pub(super) fn report_result(&self, result: WorkerResult) {
        self.results.lock().push(result);
    }

    pub(super) fn take_results(&self) -> Vec<WorkerResult> {
        std::mem::take(&mut self.results.lock())
    }

    /// Whether somebody other than `worker` has a task to give away.
    pub(super) fn others_show_work(&self, worker: usize) -> bool {
        self.victims(worker, 0).any(|victim| self.shows_work(victim))
    }

    /// The other workers, starting with another one for each `turn`.
    pub(super) fn victims(&self, worker: usize, turn: usize) -> impl Iterator<Item = usize> {
        let workers = self.workers();
        let first = worker + turn % workers;
        (0..workers).map(move |step| (first + step) % workers).filter(move |&it| it != worker)
    }

    /// Sums what all workers have counted.
    ///
    /// What has come to an end is summed first and what was posted second: a task is posted before it
    /// ends, so the sums can never say that more ended than was posted (hazard H10). While workers
    /// run the numbers are a little behind; at the end they are exact.
    pub(super) fn totals(&self) -> Totals {
        let sum = |count: fn(&Remote<Q::Stealer>) -> u64| -> u64 {
            self.remotes.iter().filter_map(OnceLock::get).map(count).sum()
        };
        // A task ends before it counts as dead, so there are never more dead than ended.
        let dead = sum(|remote| remote.counts.dead.load(Ordering::Acquire));
        let ended = sum(|remote| remote.attempts.ended());
        let posted = sum(|remote| remote.counts.posted.load(Ordering::Acquire));
        Totals { finished: ended.saturating_sub(dead), dead, posted }
    }
}
