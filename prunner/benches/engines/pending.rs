//! The shared counter of pending tasks, which every engine needs that does not find its end by
//! itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::{Condvar, Mutex};

#[derive(Default)]
pub(crate) struct Pending {
    count: CachePadded<AtomicUsize>,
    done: Mutex<bool>,
    changed: Condvar,
}

impl Pending {
    /// Counts a task, before it can start.
    #[inline]
    pub(crate) fn post(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a task off, after its own posts were counted. True for the last one.
    #[inline]
    pub(crate) fn finish(&self) -> bool {
        // AcqRel: the last one must see what all the others wrote.
        self.count.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// As [`finish`](Self::finish), and the last one ends [`wait`](Self::wait).
    #[inline]
    pub(crate) fn finish_and_tell(&self) {
        if self.finish() {
            *self.done.lock() = true;
            self.changed.notify_one();
        }
    }

    /// Blocks until the last task is finished, and makes ready for the next run.
    pub(crate) fn wait(&self) {
        let mut done = self.done.lock();
        self.changed.wait_while(&mut done, |done| !*done);
        *done = false;
    }
}
