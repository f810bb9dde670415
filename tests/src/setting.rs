//! The settings under which every law must hold.

use prunner::{Order, ParallelTaskRunner, Runner};

/// Whether the queues may use `membarrier(2)`: the biased queue or crossbeam's deque.
pub const QUEUES: [bool; 2] = [true, false];

/// One way to set up a run on threads.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// How many workers.
    pub workers: usize,
    /// See [`Runner::membarrier`].
    pub membarrier: bool,
    /// In which order a worker takes its tasks.
    pub order: Order,
}

impl Setting {
    /// Every queue and order, with each number of workers.
    pub fn all(workers: &[usize]) -> impl Iterator<Item = Self> {
        workers.iter().flat_map(|&workers| {
            let queues_of = move |order| {
                QUEUES.into_iter().map(move |membarrier| Self { workers, membarrier, order })
            };
            [Order::Lifo, Order::Fifo].into_iter().flat_map(queues_of)
        })
    }

    /// A run of `program` under this setting.
    pub fn runner<R: ParallelTaskRunner>(self, program: R) -> Runner<R> {
        Runner::new(program).workers(self.workers).membarrier(self.membarrier).order(self.order)
    }
}
