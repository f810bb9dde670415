//! The tasks of one worker, by priority.

use std::collections::VecDeque;

use super::Order;
use crate::{effects::Posts, task::Priority};

/// From this many posts on, an empty lane takes over the poster's buffer instead of copying it.
const ADOPT: usize = 4096;

/// One deque for each [`Priority`]; new tasks join at the back.
pub(super) struct Lanes<T> {
    high: VecDeque<T>,
    normal: VecDeque<T>,
    low: VecDeque<T>,
    order: Order,
}

impl<T> Lanes<T> {
    pub(super) fn new(order: Order) -> Self {
        Self { high: VecDeque::new(), normal: VecDeque::new(), low: VecDeque::new(), order }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.normal.is_empty() && self.high.is_empty() && self.low.is_empty()
    }

    /// Adds `posts` and takes the next task, which is often the newest of them.
    #[inline(always)]
    pub(super) fn commit(&mut self, posts: &mut Posts<T>) -> Option<T> {
        if posts.has_prioritised() || !self.high.is_empty() {
            return self.commit_prioritised(posts);
        }
        match self.order {
            Order::Lifo => {
                let newest = posts.normal.pop();
                self.extend_normal(&mut posts.normal);
                if newest.is_some() { newest } else { self.take() }
            }
            Order::Fifo => {
                self.extend_normal(&mut posts.normal);
                self.take()
            }
        }
    }

    #[cold]
    fn commit_prioritised(&mut self, posts: &mut Posts<T>) -> Option<T> {
        self.extend(posts);
        self.take()
    }

    /// Adds `posts`.
    pub(super) fn extend(&mut self, posts: &mut Posts<T>) {
        for (priority, task) in posts.prioritised.drain(..) {
            self.lane(priority).push_back(task);
        }
        self.extend_normal(&mut posts.normal);
    }

    #[inline(always)]
    fn extend_normal(&mut self, tasks: &mut Vec<T>) {
        if tasks.len() < ADOPT {
            self.normal.extend(tasks.drain(..));
        } else {
            self.extend_by_many(tasks);
        }
    }

    #[cold]
    fn extend_by_many(&mut self, tasks: &mut Vec<T>) {
        if self.normal.is_empty() {
            self.normal = VecDeque::from(std::mem::take(tasks));
        } else {
            self.normal.extend(tasks.drain(..));
        }
    }

    /// Takes the owner's next task.
    #[inline(always)]
    pub(super) fn take(&mut self) -> Option<T> {
        let order = self.order;
        let take = |lane: &mut VecDeque<T>| match order {
            Order::Lifo => lane.pop_back(),
            Order::Fifo => lane.pop_front(),
        };
        if !self.high.is_empty() {
            return take(&mut self.high);
        }
        take(&mut self.normal).or_else(|| take(&mut self.low))
    }

    /// Moves the oldest half of the highest lane that has any into `loot`.
    pub(super) fn give_half(&mut self, loot: &mut VecDeque<T>) -> Option<Priority> {
        let priority = [Priority::High, Priority::Normal, Priority::Low]
            .into_iter()
            .find(|&priority| !self.lane(priority).is_empty())?;
        let lane = self.lane(priority);
        loot.extend(lane.drain(..lane.len().div_ceil(2)));
        Some(priority)
    }

    /// Puts what was stolen into the lane it came from, in exchange for that lane's empty buffer.
    pub(super) fn receive(&mut self, priority: Priority, loot: &mut VecDeque<T>) {
        let lane = self.lane(priority);
        debug_assert!(lane.is_empty(), "a thief steals only when its own queue is empty");
        std::mem::swap(lane, loot);
    }

    /// Takes everything.
    pub(super) fn drain(&mut self) -> Vec<T> {
        let lanes = [&mut self.high, &mut self.normal, &mut self.low];
        lanes.into_iter().flat_map(std::mem::take).collect()
    }

    fn lane(&mut self, priority: Priority) -> &mut VecDeque<T> {
        match priority {
            Priority::High => &mut self.high,
            Priority::Normal => &mut self.normal,
            Priority::Low => &mut self.low,
        }
    }
}
