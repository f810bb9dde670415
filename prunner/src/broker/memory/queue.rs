//! The blobs that are not leased.

use std::collections::VecDeque;

use crate::{Order, broker::Blob};

/// Blobs to be leased, those of a higher priority first.
pub(super) struct Queue {
    order: Order,
    /// One for each priority, highest first.
    lanes: [Lane; 3],
    len: usize,
}

/// The blobs of one priority.
#[derive(Default)]
struct Lane {
    /// The newest is at the back.
    blobs: VecDeque<Blob>,
    /// Those that may be deadly wait behind all others. The first is the next: it is judged before
    /// another one is tried, so that what workers die of is found one by one.
    suspects: VecDeque<Blob>,
}

impl Queue {
    pub(super) fn new(order: Order) -> Self {
        Self { order, lanes: Default::default(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The blobs, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Blob> {
        self.lanes.iter().flat_map(|lane| lane.blobs.iter().chain(&lane.suspects))
    }

    pub(super) fn push(&mut self, blob: Blob) {
        let lane = self.lane(&blob);
        if blob.suspect { &mut lane.suspects } else { &mut lane.blobs }.push_back(blob);
        self.len += 1;
    }

    /// Makes `blob` the next one of its priority, or of the suspects of its priority.
    pub(super) fn push_next(&mut self, blob: Blob) {
        let order = self.order;
        let lane = self.lane(&blob);
        match order {
            _ if blob.suspect => lane.suspects.push_front(blob),
            Order::Lifo => lane.blobs.push_back(blob),
            Order::Fifo => lane.blobs.push_front(blob),
        }
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Blob> {
        let order = self.order;
        let blob = self.lanes.iter_mut().find_map(|lane| lane.pop(order))?;
        self.len -= 1;
        Some(blob)
    }

    fn lane(&mut self, blob: &Blob) -> &mut Lane {
        &mut self.lanes[blob.priority as usize]
    }
}

impl Lane {
    fn pop(&mut self, order: Order) -> Option<Blob> {
        let blob = match order {
            Order::Lifo => self.blobs.pop_back(),
            Order::Fifo => self.blobs.pop_front(),
        };
        blob.or_else(|| self.suspects.pop_front())
    }
}
