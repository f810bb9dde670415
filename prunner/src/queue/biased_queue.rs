//! The queue behind a biased lock: the owner pays two plain stores, a thief a system call.

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use super::{
    Order, Posts, Queue, Stealer,
    lanes::{Lanes, Loot},
};
use crate::sync::{
    AtomicBool, Barrier, Membarrier, Ordering,
    biased::{Owner, Visitor, biased},
};

/// A worker's own side.
pub(crate) struct BiasedQueue<T> {
    lanes: Owner<Shown<T>, Membarrier>,
    /// What a theft brought, until it goes into the lanes; kept for its room.
    loot: Loot<T>,
    /// Newest first, and no task of another priority has ever been here.
    newest_is_next: bool,
}

/// The lanes, and what other workers see of them.
struct Shown<T> {
    lanes: Lanes<T>,
    /// What `visible` says, so that it is written only when it changes.
    shown: bool,
    visible: Arc<CachePadded<AtomicBool>>,
}

impl<T> Shown<T> {
    /// Ends every critical section: shows thieves whether there is something to take.
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
    const BARRIER: Barrier = Barrier::Membarrier;

    type Stealer = BiasedStealer<T>;

    fn new(order: Order) -> (Self, Self::Stealer) {
        let visible = Arc::new(CachePadded::new(AtomicBool::new(false)));
        let shown = Shown { lanes: Lanes::new(order), shown: false, visible: Arc::clone(&visible) };
        let (owner, visitor) = biased(Membarrier, shown);
        let newest_is_next = order == Order::Lifo;
        let queue = Self { lanes: owner, loot: Loot::new(), newest_is_next };
        (queue, BiasedStealer { lanes: visitor, visible })
    }

    fn make_room(&mut self, posts: &mut Posts<T>) {
        self.lanes.with(|shown| shown.lanes.make_room(posts));
    }

    #[inline(always)]
    fn commit(&mut self, posts: &mut Posts<T>, hand: &mut Option<T>) {
        self.newest_is_next &= !posts.has_prioritised();
        if !self.newest_is_next {
            return self.commit_in_order(posts, hand);
        }
        posts.pop(hand);
        if posts.normal() > 0 {
            self.lanes.with(|shown| {
                shown.lanes.publish_normal(posts);
                shown.show();
            });
        }
    }

    #[inline(always)]
    fn pop(&mut self, posts: &mut Posts<T>, hand: &mut Option<T>) {
        let newest_is_next = self.newest_is_next;
        self.lanes.with(|shown| {
            if newest_is_next {
                shown.lanes.take_newest(posts, hand);
            } else {
                shown.lanes.take(posts, hand);
            }
            shown.show();
        });
    }

    fn publish(&mut self, posts: &mut Posts<T>) {
        self.newest_is_next &= !posts.has_prioritised();
        self.lanes.with(|shown| {
            shown.lanes.publish(posts);
            shown.show();
        });
    }

    fn expect_thief(&mut self) {
        self.lanes.lend();
    }

    fn steal_from(&mut self, victim: &Self::Stealer, posts: &mut Posts<T>, hand: &mut Option<T>) {
        let loot = &mut self.loot;
        victim.lanes.try_with(|shown| {
            shown.lanes.give_half(loot);
            shown.show();
        });
        self.newest_is_next &= !loot.has_prioritised();
        *hand = loot.pop();
        if !loot.is_empty() {
            self.lanes.with(|shown| {
                shown.lanes.receive(loot, posts);
                shown.show();
            });
        }
    }
}

impl<T: Send> BiasedQueue<T> {
    #[cold]
    fn commit_in_order(&mut self, posts: &mut Posts<T>, hand: &mut Option<T>) {
        self.publish(posts);
        self.pop(posts, hand);
    }
}

impl<T: Send> Stealer for BiasedStealer<T> {
    #[inline]
    fn shows_work(&self) -> bool {
        self.visible.load(Ordering::Acquire)
    }
}
