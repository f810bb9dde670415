//! Parking workers that have nothing to do and waking them when there is something.
//!
//! Steps 7 to 9 and hazards H7 to H9 of `engine/threads/README.md`.

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, Thread, thread};

/// One sleeper in the word; the searchers are counted in the low half.
const SLEEPER: u64 = 1 << 32;
const SEARCHER: u64 = 1;

/// Who sleeps and who searches.
///
/// A worker that has never been started counts as asleep; waking it is starting it, which is up to
/// the caller of [`take_sleeper`](Sleepers::take_sleeper).
#[derive(Debug)]
pub(crate) struct Sleepers {
    /// Sleepers in the high half, searchers in the low one: the only thing that a post looks at.
    word: CachePadded<AtomicU64>,
    /// The sleeping workers; the word's high half is its length, both change under the lock.
    list: Mutex<Vec<usize>>,
    parkers: Box<[Parker]>,
}

/// Where one worker sleeps.
#[derive(Debug)]
struct Parker {
    /// Down exactly while the worker is in the list: changed only under its lock, so that a caller
    /// that comes late cannot wake the worker from its *next* sleep (H9).
    called: AtomicBool,
    /// Known from the worker's start on.
    sleeper: Mutex<Option<Thread>>,
}

/// What [`Sleepers::register`] decided.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Recheck {
    /// There may be work, or the end: do not sleep, the worker counts as searching again.
    Stay,
    /// Nothing to see: sleep.
    Sleep,
}

impl Sleepers {
    /// Worker 0 runs; the others have never been started. The lowest number is woken first.
    pub(crate) fn new(workers: usize) -> Self {
        let unstarted: Vec<usize> = (1..workers).rev().collect();
        let parkers = (0..workers)
            .map(|_| Parker { called: AtomicBool::new(false), sleeper: Mutex::new(None) });
        Self {
            word: CachePadded::new(AtomicU64::new(unstarted.len() as u64 * SLEEPER)),
            list: Mutex::new(unstarted),
            parkers: parkers.collect(),
        }
    }

    /// Whether a post should wake a worker: one sleeps and none is searching.
    ///
    /// The caller has published its tasks and run the light barrier (H7).
    #[inline(always)]
    pub(crate) fn wanted(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        word >= SLEEPER && word.is_multiple_of(SLEEPER)
    }

    /// Picks a sleeper, who counts as searching from now on, so that no other is woken for the
    /// same tasks. Gives its number to be [unparked](Sleepers::unpark) or started.
    #[cold]
    pub(crate) fn take_sleeper(&self) -> Option<usize> {
        let mut list = self.list.lock();
        if !self.wanted() {
            return None;
        }
        let worker = list.pop()?;
        self.parkers[worker].called.store(true, Ordering::Release);
        self.word.fetch_add(SEARCHER.wrapping_sub(SLEEPER), Ordering::SeqCst);
        Some(worker)
    }

    /// Unparks `worker`, which has been taken from the list; false if it has never been started.
    pub(crate) fn unpark(&self, worker: usize) -> bool {
        let sleeper = self.parkers[worker].sleeper.lock().clone();
        sleeper.map(|thread| thread.unpark()).is_some()
    }

    /// Says that `worker` runs on the calling thread from now on.
    pub(crate) fn moved_in(&self, worker: usize) {
        *self.parkers[worker].sleeper.lock() = Some(thread::current());
    }

    /// Takes back a sleeper that could not be started, and all others that were never started.
    /// Returns how many workers the run has lost.
    pub(crate) fn give_up_starting(&self) -> usize {
        let mut list = self.list.lock();
        let before = list.len();
        list.retain(|&worker| self.parkers[worker].sleeper.lock().is_some());
        let lost = before - list.len();
        self.word.fetch_sub(lost as u64 * SLEEPER + SEARCHER, Ordering::SeqCst);
        lost + 1
    }

    /// A worker starts to search.
    pub(crate) fn begin_search(&self) {
        self.word.fetch_add(SEARCHER, Ordering::SeqCst);
    }

    /// A searcher has found a task. True if it was the last searcher and somebody sleeps: what else
    /// is queued was left to it, so it must wake the next (H8).
    pub(crate) fn end_search(&self) -> bool {
        let before = self.word.fetch_sub(SEARCHER, Ordering::SeqCst);
        before >= SLEEPER && before % SLEEPER == SEARCHER
    }

    /// Registers `worker` as asleep, then looks again with `stay` (after a heavy barrier of the
    /// caller's choice): posts from before the registration are seen there, posts from after it
    /// see the registration (H7).
    pub(crate) fn register(&self, worker: usize, stay: impl FnOnce() -> bool) -> Recheck {
        {
            let mut list = self.list.lock();
            self.parkers[worker].called.store(false, Ordering::Relaxed);
            list.push(worker);
            self.word.fetch_add(SLEEPER.wrapping_sub(SEARCHER), Ordering::SeqCst);
        }
        if !stay() {
            return Recheck::Sleep;
        }
        let mut list = self.list.lock();
        // Gone from the list: somebody has picked this worker in the meantime, which made it a
        // searcher already.
        if let Some(place) = list.iter().position(|&sleeper| sleeper == worker) {
            list.remove(place);
            self.parkers[worker].called.store(true, Ordering::Relaxed);
            self.word.fetch_add(SEARCHER.wrapping_sub(SLEEPER), Ordering::SeqCst);
        }
        Recheck::Stay
    }

    /// Sleeps until somebody has taken `worker` from the list, which made it a searcher.
    pub(crate) fn sleep(&self, worker: usize) {
        while !self.parkers[worker].called.load(Ordering::Acquire) {
            thread::park();
        }
    }

    /// Wakes everybody: the run is over, or stopped. Workers that were never started stay so.
    pub(crate) fn unpark_all(&self) {
        let sleepers = {
            let mut list = self.list.lock();
            let count = list.len() as u64;
            self.word
                .fetch_add((SEARCHER.wrapping_sub(SLEEPER)).wrapping_mul(count), Ordering::SeqCst);
            for &worker in &*list {
                self.parkers[worker].called.store(true, Ordering::Release);
            }
            std::mem::take(&mut *list)
        };
        for worker in sleepers {
            self.unpark(worker);
        }
    }
}
