//! The batches that are not leased.

use std::collections::VecDeque;

use crate::{Order, broker::Batch};

/// Batches to be leased, those of a higher priority first.
pub(super) struct Queue {
    order: Order,
    /// One for each priority, highest first.
    lanes: [Lane; 3],
    len: usize,
}

/// The batches of one priority.
#[derive(Default)]
struct Lane {
    /// The newest is at the back.
    batches: VecDeque<Batch>,
    /// Those that may be deadly wait behind all others. The first is the next: it is judged before
    /// another one is tried, so that what workers die of is found one by one.
    suspects: VecDeque<Batch>,
}

impl Queue {
    pub(super) fn new(order: Order) -> Self {
        Self { order, lanes: Default::default(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The batches, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Batch> {
        self.lanes.iter().flat_map(|lane| lane.batches.iter().chain(&lane.suspects))
    }

    pub(super) fn push(&mut self, batch: Batch) {
        let lane = self.lane(&batch);
        if batch.suspect { &mut lane.suspects } else { &mut lane.batches }.push_back(batch);
        self.len += 1;
    }

    /// Makes `batch` the next one of its priority, or of the suspects of its priority.
    pub(super) fn push_next(&mut self, batch: Batch) {
        let order = self.order;
        let lane = self.lane(&batch);
        match order {
            _ if batch.suspect => lane.suspects.push_front(batch),
            Order::Lifo => lane.batches.push_back(batch),
            Order::Fifo => lane.batches.push_front(batch),
        }
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Batch> {
        let order = self.order;
        let batch = self.lanes.iter_mut().find_map(|lane| lane.pop(order))?;
        self.len -= 1;
        Some(batch)
    }

    fn lane(&mut self, batch: &Batch) -> &mut Lane {
        &mut self.lanes[batch.priority as usize]
    }
}

impl Lane {
    fn pop(&mut self, order: Order) -> Option<Batch> {
        let batch = match order {
            Order::Lifo => self.batches.pop_back(),
            Order::Fifo => self.batches.pop_front(),
        };
        batch.or_else(|| self.suspects.pop_front())
    }
}
