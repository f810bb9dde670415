//! The queue where `membarrier(2)` is missing: crossbeam's deques, one for each priority.

use crossbeam_deque::{Steal, Stealer as DequeStealer, Worker};

use super::{Order, Queue, Stealer};
use crate::{effects::Posts, sync::Barrier, task::Priority};

/// A worker's own side.
pub(crate) struct DequeQueue<T> {
    /// Highest priority first.
    lanes: [Worker<T>; 3],
    order: Order,
    /// Whether a task of another priority has ever been here.
    prioritised: bool,
}

/// A thief's side.
pub(crate) struct Stealers<T>([DequeStealer<T>; 3]);

impl<T: Send> Queue<T> for DequeQueue<T> {
    type Stealer = Stealers<T>;

    fn new(order: Order, _: Barrier) -> (Self, Self::Stealer) {
        let lanes = std::array::from_fn(|_| match order {
            Order::Lifo => Worker::new_lifo(),
            Order::Fifo => Worker::new_fifo(),
        });
        let stealers = Stealers(std::array::from_fn(|lane| Worker::stealer(&lanes[lane])));
        (Self { lanes, order, prioritised: false }, stealers)
    }

    #[inline]
    fn commit(&mut self, posts: &mut Posts<T>) -> Option<T> {
        self.prioritised |= posts.has_prioritised();
        if self.prioritised || self.order == Order::Fifo {
            self.publish(posts);
            return self.take();
        }
        let newest = posts.normal.pop();
        self.publish(posts);
        newest.or_else(|| self.take())
    }

    fn publish(&mut self, posts: &mut Posts<T>) {
        self.prioritised |= posts.has_prioritised();
        for (priority, task) in posts.prioritised.drain(..) {
            self.lane(priority).push(task);
        }
        for task in posts.normal.drain(..) {
            self.lane(Priority::Normal).push(task);
        }
    }

    fn steal_from(&mut self, victim: &Self::Stealer) -> Option<T> {
        self.lanes.iter().zip(&victim.0).enumerate().find_map(|(lane, (own, theirs))| {
            loop {
                match theirs.steal_batch_and_pop(own) {
                    Steal::Success(task) => {
                        self.prioritised |= lane != Priority::Normal as usize;
                        return Some(task);
                    }
                    Steal::Empty => return None,
                    Steal::Retry => {}
                }
            }
        })
    }

    fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.take()).collect()
    }
}

impl<T> DequeQueue<T> {
    fn take(&self) -> Option<T> {
        self.lanes.iter().find_map(Worker::pop)
    }

    fn lane(&self, priority: Priority) -> &Worker<T> {
        &self.lanes[priority as usize]
    }
}

impl<T: Send> Stealer for Stealers<T> {
    fn shows_work(&self) -> bool {
        self.0.iter().any(|lane| !lane.is_empty())
    }
}
