//! The queue where `membarrier(2)` is missing: crossbeam's deques, one for each priority.

use std::iter;

use crossbeam_deque::{Steal, Stealer as DequeStealer, Worker};

use super::{Order, Posts, Queue, Stealer, buffer::Buffer};
use crate::{sync::Barrier, task::Priority};

/// A worker's own side.
pub(crate) struct DequeQueue<T> {
    /// Highest priority first.
    lanes: [Worker<T>; 3],
    buffer: Buffer<T>,
    /// Newest first, and no task of another priority has ever been here.
    newest_is_next: bool,
}

/// A thief's side.
pub(crate) struct Stealers<T>([DequeStealer<T>; 3]);

impl<T: Send> Queue<T> for DequeQueue<T> {
    type Stealer = Stealers<T>;

    const BARRIER: Barrier = Barrier::Fence;

    fn new(order: Order) -> (Self, Self::Stealer) {
        let lanes = std::array::from_fn(|_| match order {
            Order::Lifo => Worker::new_lifo(),
            Order::Fifo => Worker::new_fifo(),
        });
        let stealers = Stealers(std::array::from_fn(|lane| Worker::stealer(&lanes[lane])));
        (Self { lanes, buffer: Buffer::new(), newest_is_next: order == Order::Lifo }, stealers)
    }

    fn make_room(&mut self, posts: &mut Posts<T>) {
        self.buffer.make_room(posts);
    }

    #[inline]
    fn commit(&mut self, posts: &mut Posts<T>, hand: &mut Option<T>) {
        self.newest_is_next &= !posts.has_prioritised();
        if self.newest_is_next {
            posts.pop(hand);
        }
        self.publish(posts);
        if hand.is_none() {
            self.pop(posts, hand);
        }
    }

    #[inline]
    fn pop(&mut self, _: &mut Posts<T>, hand: &mut Option<T>) {
        *hand = self.lanes.iter().find_map(Worker::pop);
    }

    fn publish(&mut self, posts: &mut Posts<T>) {
        self.newest_is_next &= !posts.has_prioritised();
        let lanes = &self.lanes;
        self.buffer.drain(posts, |priority, task| lanes[priority as usize].push(task));
    }

    fn expect_thief(&mut self) {}

    fn steal_from(&mut self, victim: &Self::Stealer, _: &mut Posts<T>, hand: &mut Option<T>) {
        for (lane, (own, theirs)) in self.lanes.iter().zip(&victim.0).enumerate() {
            let stolen = iter::repeat_with(|| theirs.steal_batch_and_pop(own))
                .find(|steal| !steal.is_retry());
            if let Some(Steal::Success(task)) = stolen {
                self.newest_is_next &= lane == Priority::Normal as usize;
                *hand = Some(task);
                return;
            }
        }
    }
}

impl<T: Send> Stealer for Stealers<T> {
    fn shows_work(&self) -> bool {
        self.0.iter().any(|lane| !lane.is_empty())
    }
}
