//! The published tasks of one worker, by priority.

use std::{collections::VecDeque, mem};

use super::{
    Order,
    ring::{Posts, Ring},
};
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

    /// Opens the owner's end.
    pub(super) fn open(&mut self) -> Posts<T> {
        self.ring.grow(1, 0..0);
        Posts::new(self.ring.open(self.head..self.tail))
    }

    /// Makes room for more posts.
    pub(super) fn make_room(&mut self, posts: &mut Posts<T>) {
        // Thieves and, with oldest first, the owner may have taken some since the window was opened.
        let window = &posts.window;
        let needed = window.end + 1 - self.head;
        if needed > self.ring.capacity() {
            self.ring.grow(needed, self.head..window.end);
        }
        let (start, end) = (window.start, window.end);
        posts.window = self.ring.open(self.head..self.tail);
        (posts.window.start, posts.window.end) = (start, end);
    }

    /// Publishes the posts of normal priority.
    #[inline(always)]
    pub(super) fn publish_normal(&mut self, posts: &mut Posts<T>) {
        self.tail = posts.window.end;
        posts.window.start = self.tail;
    }

    /// Publishes all posts.
    pub(super) fn publish(&mut self, posts: &mut Posts<T>) {
        self.publish_normal(posts);
        for (priority, task) in posts.prioritised.drain(..) {
            self.others(priority).push_back(task);
        }
    }

    /// Takes the newest task of normal priority.
    #[inline(always)]
    pub(super) fn take_newest(&mut self, posts: &mut Posts<T>, hand: &mut Option<T>) {
        if self.head == self.tail {
            return;
        }
        self.tail -= 1;
        (posts.window.start, posts.window.end) = (self.tail, self.tail);
        // SAFETY: published tasks are there and belong to whoever is inside the lock.
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
                self.ring.move_into(self.head..self.head + half, &mut loot.ring);
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
            posts.window = self.ring.open(self.head..self.tail);
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
        // SAFETY: published tasks are there and nobody else is left.
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
