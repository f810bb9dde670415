//! Where the tasks of a peer leave their results: a cell per worker, and the two sums under locks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use super::seat;
use crate::workloads::{Answer, Scope};

/// What one worker found. Only that worker writes it, so an addition is a load and a store.
#[derive(Default)]
struct Cell {
    tasks: AtomicU64,
    sum: AtomicU64,
}

impl Cell {
    fn add(to: &AtomicU64, n: u64) {
        to.store(to.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }
}

/// The results of a run in progress.
pub(crate) struct Board {
    cells: Box<[CachePadded<Cell>]>,
    locked: CachePadded<Mutex<u64>>,
    mapped: CachePadded<Mutex<HashMap<String, u64>>>,
}

impl Board {
    pub(crate) fn new(workers: usize) -> Board {
        Board {
            cells: (0..workers).map(|_| CachePadded::default()).collect(),
            locked: CachePadded::default(),
            mapped: CachePadded::new(Mutex::new(HashMap::from([("sum".to_owned(), 0)]))),
        }
    }

    /// Counts a task as run.
    #[inline]
    pub(crate) fn count_task(&self) {
        Cell::add(&self.cells[seat::current()].tasks, 1);
    }

    /// The answer of the run that has ended; the next run starts from zero.
    pub(crate) fn take_answer(&self) -> Answer {
        let mut answer = Answer::default();
        for cell in &self.cells {
            answer.tasks += cell.tasks.swap(0, Ordering::Relaxed);
            answer.sum += cell.sum.swap(0, Ordering::Relaxed);
        }
        answer.sum += std::mem::take(&mut *self.locked.lock());
        answer.sum += self.mapped.lock().get_mut("sum").map(std::mem::take).unwrap_or_default();
        answer
    }
}

/// The scope of every peer: results go to the board, posts wherever the peer wants them.
pub(crate) struct Posting<'b, F> {
    pub(crate) board: &'b Board,
    pub(crate) post: F,
}

impl<T, F: FnMut(T)> Scope<T> for Posting<'_, F> {
    #[inline]
    fn post(&mut self, task: T) {
        (self.post)(task);
    }

    #[inline]
    fn add(&mut self, n: u64) {
        Cell::add(&self.board.cells[seat::current()].sum, n);
    }

    #[inline]
    fn add_locked(&mut self, n: u64) {
        *self.board.locked.lock() += n;
    }

    #[inline]
    fn add_mapped(&mut self, n: u64) {
        if let Some(sum) = self.board.mapped.lock().get_mut("sum") {
            *sum += n;
        }
    }
}
