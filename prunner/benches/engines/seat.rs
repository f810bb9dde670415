//! A number for each worker thread of a peer, kept in a thread-local.

use std::cell::Cell;

use crate::harness::pin;

thread_local! {
    static SEAT: Cell<usize> = const { Cell::new(0) };
}

/// Gives the calling thread, worker `index` of its engine, its number and on request its CPU.
pub(crate) fn take(index: usize, pinned: bool) {
    SEAT.set(index);
    if pinned {
        pin::to_worker(index);
    }
}

/// The number of the calling worker.
#[inline]
pub(crate) fn current() -> usize {
    SEAT.get()
}
