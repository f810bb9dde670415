//! The blobs that nobody holds.

use std::collections::VecDeque;

use crate::{Order, broker::Blob};

/// Blobs to be leased, those of a higher priority first.
pub(super) struct Queue {
    order: Order,
    /// One for each priority, highest first; the newest blob is at the back.
    lanes: [VecDeque<Blob>; 3],
    len: usize,
}

impl Queue {
    pub(super) fn new(order: Order) -> Self {
        Self { order, lanes: Default::default(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, blob: Blob) {
        self.lane(&blob).push_back(blob);
        self.len += 1;
    }

    /// Makes `blob` the next one of its priority.
    pub(super) fn push_next(&mut self, blob: Blob) {
        match self.order {
            Order::Lifo => self.lane(&blob).push_back(blob),
            Order::Fifo => self.lane(&blob).push_front(blob),
        }
        self.len += 1;
    }

    /// Makes `blob` the last one of its priority.
    pub(super) fn push_last(&mut self, blob: Blob) {
        match self.order {
            Order::Lifo => self.lane(&blob).push_front(blob),
            Order::Fifo => self.lane(&blob).push_back(blob),
        }
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Blob> {
        let lane = self.lanes.iter_mut().find(|lane| !lane.is_empty())?;
        self.len -= 1;
        match self.order {
            Order::Lifo => lane.pop_back(),
            Order::Fifo => lane.pop_front(),
        }
    }

    fn lane(&mut self, blob: &Blob) -> &mut VecDeque<Blob> {
        &mut self.lanes[blob.priority as usize]
    }
}
