//! The tasks of one worker, by priority.

use std::collections::VecDeque;

use super::Order;
use crate::{effects::Posts, task::Priority};

/// From this many posts on, an empty lane takes over the poster's buffer instead of copying it.
const ADOPT: usize = 4096;

/// One deque for each [`Priority`]; new tasks join at the back.
pub(super) struct Lanes<T> {
    normal: VecDeque<T>,
    /// Made with the first task that has another priority.
    others: Option<Box<Others<T>>>,
    order: Order,
}

struct Others<T> {
    high: VecDeque<T>,
    low: VecDeque<T>,
}

impl<T> Lanes<T> {
    pub(super) fn new(order: Order) -> Self {
        Self { normal: VecDeque::new(), others: None, order }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.normal.is_empty()
            && self.others.as_ref().is_none_or(|it| it.high.is_empty() && it.low.is_empty())
    }

    /// Adds `posts` and takes the next task, which is known to be the newest of all, or not.
    #[inline(always)]
    pub(super) fn commit(&mut self, posts: &mut Posts<T>, newest_is_next: bool) -> Option<T> {
        if newest_is_next && let Some(newest) = posts.normal.pop() {
            self.extend_normal(&mut posts.normal);
            return Some(newest);
        }
        self.extend(posts);
        self.take()
    }

    /// Takes the owner's next task.
    #[inline(always)]
    pub(super) fn pop(&mut self, newest_is_next: bool) -> Option<T> {
        if newest_is_next { self.normal.pop_back() } else { self.take() }
    }

    /// Adds `posts`.
    pub(super) fn extend(&mut self, posts: &mut Posts<T>) {
        for (priority, task) in posts.prioritised.drain(..) {
            self.lane(priority).push_back(task);
        }
        self.extend_normal(&mut posts.normal);
    }

    /// Few posts are the rule, and each is worth its nanosecond.
    #[inline(always)]
    fn extend_normal(&mut self, tasks: &mut Vec<T>) {
        if tasks.len() > 1 {
            self.extend_by_many(tasks);
        } else if let Some(task) = tasks.pop() {
            self.normal.push_back(task);
        }
    }

    #[inline(never)]
    fn extend_by_many(&mut self, tasks: &mut Vec<T>) {
        if self.normal.is_empty() && tasks.len() >= ADOPT {
            self.normal = VecDeque::from(std::mem::take(tasks));
        } else {
            self.normal.extend(tasks.drain(..));
        }
    }

    /// Takes the owner's next task, whatever the order and the priorities.
    fn take(&mut self) -> Option<T> {
        let order = self.order;
        let take = |lane: &mut VecDeque<T>| match order {
            Order::Lifo => lane.pop_back(),
            Order::Fifo => lane.pop_front(),
        };
        let Some(others) = &mut self.others else { return take(&mut self.normal) };
        take(&mut others.high).or_else(|| take(&mut self.normal)).or_else(|| take(&mut others.low))
    }

    /// Moves the oldest half of the highest lane that has any into `loot`.
    pub(super) fn give_half(&mut self, loot: &mut VecDeque<T>) -> Option<Priority> {
        let priority = match &self.others {
            Some(others) if !others.high.is_empty() => Priority::High,
            _ if !self.normal.is_empty() => Priority::Normal,
            Some(others) if !others.low.is_empty() => Priority::Low,
            _ => return None,
        };
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
        std::iter::from_fn(|| self.take()).collect()
    }

    fn lane(&mut self, priority: Priority) -> &mut VecDeque<T> {
        if priority == Priority::Normal {
            return &mut self.normal;
        }
        let none = || Box::new(Others { high: VecDeque::new(), low: VecDeque::new() });
        let others = self.others.get_or_insert_with(none);
        if priority == Priority::High { &mut others.high } else { &mut others.low }
    }
}
