//! The queue behind a biased lock: the owner pays two plain stores, a thief a system call.

use std::{collections::VecDeque, sync::Arc};

use crossbeam_utils::CachePadded;

use super::{Order, Queue, Stealer, lanes::Lanes};
use crate::{
    effects::Posts,
    engine::biased::{Owner, Visitor, biased},
    sync::{AtomicBool, Barrier, Ordering},
    task::Priority,
};

/// A worker's own side.
pub(crate) struct BiasedQueue<T> {
    lanes: Owner<Shown<T>>,
    /// What a theft brought, until it goes into the lanes; kept for its capacity.
    loot: VecDeque<T>,
    order: Order,
    /// Whether a task of another priority has ever been here: then the newest post is not always
    /// the next task.
    prioritised: bool,
}

/// The lanes and what the world is told of them.
struct Shown<T> {
    lanes: Lanes<T>,
    /// What `visible` says, so that it is written only when it changes.
    shown: bool,
    visible: Arc<CachePadded<AtomicBool>>,
}

impl<T> Shown<T> {
    /// Ends every critical section: tells thieves whether there is something to take.
    #[inline(always)]
    fn show(&mut self) {
        let shown = !self.lanes.is_empty();
        if shown != self.shown {
            self.shown = shown;
            self.visible.store(shown, Ordering::Release);
        }
    }
}

/// A thief's side.
pub(crate) struct BiasedStealer<T> {
    lanes: Visitor<Shown<T>>,
    visible: Arc<CachePadded<AtomicBool>>,
}

impl<T: Send> Queue<T> for BiasedQueue<T> {
    type Stealer = BiasedStealer<T>;

    fn new(order: Order, barrier: Barrier) -> (Self, Self::Stealer) {
        let visible = Arc::new(CachePadded::new(AtomicBool::new(false)));
        let shown = Shown { lanes: Lanes::new(order), shown: false, visible: Arc::clone(&visible) };
        let (owner, visitor) = biased(barrier, shown);
        let queue = Self { lanes: owner, loot: VecDeque::new(), order, prioritised: false };
        (queue, BiasedStealer { lanes: visitor, visible })
    }

    #[inline(always)]
    fn commit(&mut self, posts: &mut Posts<T>) -> Option<T> {
        self.prioritised |= posts.has_prioritised();
        if posts.normal.len() == 1 && self.order == Order::Lifo && !self.prioritised {
            return posts.normal.pop();
        }
        self.lanes.with(|shown| {
            let next = shown.lanes.commit(posts);
            shown.show();
            next
        })
    }

    fn publish(&mut self, posts: &mut Posts<T>) {
        self.prioritised |= posts.has_prioritised();
        self.lanes.with(|shown| {
            shown.lanes.extend(posts);
            shown.show();
        });
    }

    fn steal_from(&mut self, victim: &Self::Stealer) -> Option<T> {
        let priority = victim.lanes.try_with(|shown| {
            let priority = shown.lanes.give_half(&mut self.loot);
            shown.show();
            priority
        })??;
        self.prioritised |= priority != Priority::Normal;
        let oldest = self.loot.pop_front();
        if !self.loot.is_empty() {
            let loot = &mut self.loot;
            self.lanes.with(|shown| {
                shown.lanes.receive(priority, loot);
                shown.show();
            });
        }
        oldest
    }

    fn drain(&mut self) -> Vec<T> {
        self.lanes.with(|shown| {
            let left = shown.lanes.drain();
            shown.show();
            left
        })
    }
}

impl<T: Send> Stealer for BiasedStealer<T> {
    #[inline]
    fn shows_work(&self) -> bool {
        self.visible.load(Ordering::Acquire)
    }
}
