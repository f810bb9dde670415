//! How large leases are, and in which order a worker takes what is in one.

use super::lanes::End;
use crate::queue::Order;

/// What decides how large a lease is and which of its tasks come first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batching {
    order: LeaseOrder,
    /// How many workers there are: what a worker gives back is cut into pieces for all of them.
    all_seats: usize,
}

/// At most so many tasks, and about so many bytes, are leased together.
pub(super) const MOST_TASKS: usize = 512;
pub(super) const MOST_BATCH_BYTES: usize = 256 << 10;

/// Which task of its lease a worker takes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseOrder {
    NewestFirst,
    OldestFirst,
    /// Oldest first, and there is no other worker: then it can be the oldest of all. Follow-ups belong
    /// behind what is queued, so they are left to the next leases.
    AsPosted,
}

impl Batching {
    pub(super) fn new(order: Order, all_seats: usize) -> Self {
        let order = match order {
            Order::Lifo => LeaseOrder::NewestFirst,
            Order::Fifo if all_seats > 1 => LeaseOrder::OldestFirst,
            Order::Fifo => LeaseOrder::AsPosted,
        };
        Self { order, all_seats }
    }

    pub(super) fn order(self) -> LeaseOrder {
        self.order
    }

    /// From which end of its follow-ups a worker takes the next.
    pub(super) fn end(self) -> End {
        if self.order == LeaseOrder::NewestFirst { End::Newest } else { End::Oldest }
    }

    /// Into how many pieces a worker cuts what it posts: for everybody who might take one.
    pub(super) fn pieces(self) -> usize {
        match self.order {
            LeaseOrder::NewestFirst | LeaseOrder::OldestFirst => 2 * self.all_seats,
            // Pieces would stay pieces, down to leases of one task.
            LeaseOrder::AsPosted => 1,
        }
    }

    /// How many leases a worker has or has asked for.
    pub(super) fn in_flight(self) -> usize {
        match self.order {
            // One runs, one waits.
            LeaseOrder::NewestFirst | LeaseOrder::OldestFirst => 2,
            // What the first one posts may have to run before the second one.
            LeaseOrder::AsPosted => 1,
        }
    }
}
