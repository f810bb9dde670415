//! The published tasks of one worker, by priority.

use std::{collections::VecDeque, mem};

use super::{Order, Posts, ring::Ring};
use crate::task::Priority;

/// Tasks of normal priority lie in a ring whose far end the owner writes without the lock; the few
/// others in deques.
pub(super) struct Lanes<T> {
    ring: Ring<T>,
    head: usize,
    tail: usize,
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
        Self { ring: Ring::new(), head: 0, tail: 0, others: None, order }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.head == self.tail
            && self.others.as_ref().is_none_or(|it| it.high.is_empty() && it.low.is_empty())
    }

    /// Makes room for more posts.
    pub(super) fn make_room(&mut self, posts: &mut Posts<T>) {
        // Thieves and, with oldest first, the owner may have taken some since room was made last: then
        // there is some without growing.
        let live = self.head..posts.end();
        // SAFETY: what is there is published or one of the posts (invariants 2 and 3), and they are
        // attached at once.
        unsafe { self.ring.grow(live.len() + 1, live) };
        // SAFETY: nothing is in front of `head`.
        unsafe { posts.attach(&mut self.ring, self.head) };
    }

    /// Publishes the posts of normal priority.
    #[inline(always)]
    pub(super) fn publish_normal(&mut self, posts: &mut Posts<T>) {
        self.tail = posts.publish();
    }

    /// Publishes all posts.
    pub(super) fn publish(&mut self, posts: &mut Posts<T>) {
        self.publish_normal(posts);
        for (priority, task) in posts.drain_prioritised() {
            self.others(priority).push_back(task);
        }
    }

    /// Takes the newest task of normal priority. There must be no posts.
    #[inline(always)]
    pub(super) fn take_newest(&mut self, posts: &mut Posts<T>, hand: &mut Option<T>) {
        if self.head == self.tail {
            return;
        }
        self.tail -= 1;
        // SAFETY: this is the ring's tail, and below the last one.
        unsafe { posts.move_to(self.tail) };
        // SAFETY: it was published, and its number was given up just now (invariant 2).
        super::put(hand, unsafe { self.ring.read(self.tail) });
    }

    fn take_oldest(&mut self, hand: &mut Option<T>) {
        if self.head == self.tail {
            return;
        }
        self.head += 1;
        // SAFETY: as in `take_newest`.
        super::put(hand, unsafe { self.ring.read(self.head - 1) });
    }

    /// Takes the owner's next task, whatever the order and the priorities. There must be no posts.
    pub(super) fn take(&mut self, posts: &mut Posts<T>, hand: &mut Option<T>) {
        let order = self.order;
        let take = |lane: &mut VecDeque<T>| match order {
            Order::Lifo => lane.pop_back(),
            Order::Fifo => lane.pop_front(),
        };
        *hand = self.others.as_mut().and_then(|others| take(&mut others.high));
        if hand.is_some() {
            return;
        }
        match order {
            Order::Lifo => self.take_newest(posts, hand),
            Order::Fifo => self.take_oldest(hand),
        }
        if hand.is_none() {
            *hand = self.others.as_mut().and_then(|others| take(&mut others.low));
        }
    }

    /// Moves the oldest half of the highest lane that has any into `loot`.
    pub(super) fn give_half(&mut self, loot: &mut Loot<T>) {
        match &mut self.others {
            Some(others) if !others.high.is_empty() => {
                loot.take_half_of(&mut others.high, Priority::High);
            }
            _ if self.head < self.tail => {
                let half = (self.tail - self.head).div_ceil(2);
                // SAFETY: they are published (invariant 2), and the thief's loot is empty when it comes.
                unsafe { self.ring.move_into(self.head..self.head + half, &mut loot.ring) };
                self.head += half;
                loot.normal = 0..half;
            }
            Some(others) => loot.take_half_of(&mut others.low, Priority::Low),
            None => {}
        }
    }

    /// Takes over what was stolen. The lanes and the posts are empty: thieves have nothing else to do.
    pub(super) fn receive(&mut self, loot: &mut Loot<T>, posts: &mut Posts<T>) {
        debug_assert!(self.is_empty() && posts.len() == 0, "a thief has tasks of its own");
        for (priority, task) in loot.prioritised.drain(..) {
            self.others(priority).push_back(task);
        }
        if !loot.normal.is_empty() {
            mem::swap(&mut self.ring, &mut loot.ring);
            (self.head, self.tail) = (loot.normal.start, loot.normal.end);
            loot.normal = 0..0;
            // SAFETY: there are no posts, and this is the tail of the ring that is here now.
            unsafe { posts.move_to(self.tail) };
            // SAFETY: as above; nothing is in front of `head`.
            unsafe { posts.attach(&mut self.ring, self.head) };
        }
    }

    fn others(&mut self, priority: Priority) -> &mut VecDeque<T> {
        let none = || Box::new(Others { high: VecDeque::new(), low: VecDeque::new() });
        let others = self.others.get_or_insert_with(none);
        if priority == Priority::Low { &mut others.low } else { &mut others.high }
    }
}

impl<T> Drop for Lanes<T> {
    fn drop(&mut self) {
        // SAFETY: published tasks are there (invariant 2), and nothing else holds the lock.
        unsafe { self.ring.drop_tasks(self.head..self.tail) };
    }
}

/// What a theft brought, between the victim's lock and the thief's own.
pub(super) struct Loot<T> {
    /// Tasks of normal priority, and which numbers they have.
    ring: Ring<T>,
    normal: std::ops::Range<usize>,
    prioritised: VecDeque<(Priority, T)>,
}

impl<T> Loot<T> {
    pub(super) fn new() -> Self {
        Self { ring: Ring::new(), normal: 0..0, prioritised: VecDeque::new() }
    }

    fn take_half_of(&mut self, lane: &mut VecDeque<T>, priority: Priority) {
        let half = lane.len().div_ceil(2);
        self.prioritised.extend(lane.drain(..half).map(|task| (priority, task)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.normal.is_empty() && self.prioritised.is_empty()
    }

    pub(super) fn has_prioritised(&self) -> bool {
        !self.prioritised.is_empty()
    }

    /// Takes the oldest, to be run at once.
    pub(super) fn pop(&mut self) -> Option<T> {
        if let Some((_, task)) = self.prioritised.pop_front() {
            return Some(task);
        }
        let number = self.normal.next()?;
        // SAFETY: `give_half` put it there, and `next` gives each number once.
        Some(unsafe { self.ring.read(number) })
    }
}

impl<T> Drop for Loot<T> {
    fn drop(&mut self) {
        // SAFETY: what is still in the range has been neither popped nor passed on.
        unsafe { self.ring.drop_tasks(self.normal.clone()) };
    }
}
