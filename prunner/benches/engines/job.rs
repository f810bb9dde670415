//! A workload with all that a peer needs to run it; tasks carry one reference to it.

use super::board::{Board, Posting};
use super::forever;
use super::pending::Pending;
use crate::workloads::{Answer, Workload};

pub(crate) struct Job<W: 'static> {
    work: &'static W,
    board: Board,
    pub(crate) pending: Pending,
}

impl<W: Workload> Job<W> {
    pub(crate) fn new(work: &'static W, workers: usize) -> &'static Job<W> {
        forever(Job { work, board: Board::new(workers), pending: Pending::default() })
    }

    /// The first task, if there is one.
    pub(crate) fn root(&self) -> Option<W::Task> {
        self.work.root()
    }

    /// Runs one task, whose posts go to `post`.
    #[inline]
    pub(crate) fn run(&self, task: &W::Task, post: impl FnMut(W::Task)) {
        self.work.run(task, &mut Posting { board: &self.board, post });
        self.board.count_task();
    }

    /// The answer of the run that has ended.
    pub(crate) fn answer(&self) -> Answer {
        self.board.take_answer()
    }
}
