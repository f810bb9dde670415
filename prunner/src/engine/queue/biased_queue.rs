//! The queue behind a biased lock: the owner pays two plain stores, a thief a system call.

use std::{collections::VecDeque, sync::Arc};

use crossbeam_utils::CachePadded;

use super::{Order, Queue, Stealer, lanes::Lanes};
use crate::{
    effects::Posts,
    engine::biased::{Owner, Visitor, biased},
    sync::{AtomicBool, Barrier, Membarrier, Ordering},
    task::Priority,
};

/// A worker's own side.
pub(crate) struct BiasedQueue<T> {
    lanes: Owner<Shown<T>, Membarrier>,
    /// What a theft brought, until it goes into the lanes; kept for its capacity.
    loot: VecDeque<T>,
    /// Newest first, and no task of another priority has ever been here.
    newest_is_next: bool,
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
    lanes: Visitor<Shown<T>, Membarrier>,
    visible: Arc<CachePadded<AtomicBool>>,
}

impl<T: Send> Queue<T> for BiasedQueue<T> {
    type Stealer = BiasedStealer<T>;

    const BARRIER: Barrier = Barrier::Membarrier;

    fn new(order: Order) -> (Self, Self::Stealer) {
        let visible = Arc::new(CachePadded::new(AtomicBool::new(false)));
        let shown = Shown { lanes: Lanes::new(order), shown: false, visible: Arc::clone(&visible) };
        let (owner, visitor) = biased(Membarrier, shown);
        let newest_is_next = order == Order::Lifo;
        let queue = Self { lanes: owner, loot: VecDeque::new(), newest_is_next };
        (queue, BiasedStealer { lanes: visitor, visible })
    }

    #[inline(always)]
    fn newest_is_next(&self) -> bool {
        self.newest_is_next
    }

    #[inline(always)]
    fn commit(&mut self, posts: &mut Posts<T>) -> Option<T> {
        self.newest_is_next &= !posts.has_prioritised();
        let newest_is_next = self.newest_is_next;
        self.lanes.with(|shown| {
            let next = shown.lanes.commit(posts, newest_is_next);
            shown.show();
            next
        })
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<T> {
        let newest_is_next = self.newest_is_next;
        self.lanes.with(|shown| {
            let next = shown.lanes.pop(newest_is_next);
            shown.show();
            next
        })
    }

    fn publish(&mut self, posts: &mut Posts<T>) {
        self.newest_is_next &= !posts.has_prioritised();
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
        self.newest_is_next &= priority == Priority::Normal;
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
