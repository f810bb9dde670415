//! The owner's end of a queue: the follow-ups of the running handler, until it commits.

use std::ops::Range;

use super::ring::{Ring, read_by_words};
use crate::task::Priority;

/// The follow-ups of the running handler. The invariants are those of the [ring](super::ring).
///
/// They are used with one queue alone, which makes room for them. New ones have none.
pub(crate) struct Posts<T> {
    /// The ring's slots and what gives a number's slot: meaningless while there is no room.
    base: *mut T,
    mask: usize,
    start: usize,
    end: usize,
    /// The number that would overwrite the oldest task that may still be there, or less.
    limit: usize,
    prioritised: Vec<(Priority, T)>,
}

impl<T> Posts<T> {
    /// No posts, and no room for any.
    pub(crate) fn new() -> Self {
        Self {
            base: std::ptr::dangling_mut(),
            mask: 0,
            start: 0,
            end: 0,
            limit: 0,
            prioritised: Vec::new(),
        }
    }

    /// Adds a follow-up, or gives it back if there is no room.
    #[inline(always)]
    pub(crate) fn push(&mut self, task: T) -> Result<(), T> {
        self.push_made(|| task).map_err(|make| make())
    }

    /// Adds the follow-up that `make` returns, or gives `make` back if there is no room.
    ///
    /// Looking for room first and making the task afterwards lets it go from registers to its slot. A task
    /// that could also be given back would lie on the stack before the look, word by word, and be copied
    /// from there with a wide load, which waits: see [`read_by_words`].
    #[inline(always)]
    pub(crate) fn push_made<F: FnOnce() -> T>(&mut self, make: F) -> Result<(), F> {
        if self.end >= self.limit {
            return Err(make);
        }
        // SAFETY: below the limit, so its slot is in the ring and free (invariant 4), and the ring is
        // where the posts take it to be (invariant 5).
        unsafe { self.base.add(self.end & self.mask).write(make()) };
        self.end += 1;
        Ok(())
    }

    /// Adds a follow-up that is not of normal priority.
    pub(crate) fn push_prioritised(&mut self, priority: Priority, task: T) {
        self.prioritised.push((priority, task));
    }

    /// Leaves no room, so that the next push is refused.
    pub(crate) fn narrow(&mut self) {
        self.limit = self.end;
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.normal() + self.prioritised.len()
    }

    /// How many are of normal priority.
    #[inline(always)]
    pub(super) fn normal(&self) -> usize {
        self.end - self.start
    }

    #[inline(always)]
    pub(super) fn has_prioritised(&self) -> bool {
        !self.prioritised.is_empty()
    }

    /// The numbers of those of normal priority.
    pub(super) fn live(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The number of the next post.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Lets the posts go that are of normal priority: from here on they are published. Returns the
    /// number behind the last.
    #[inline(always)]
    pub(super) fn publish(&mut self) -> usize {
        self.start = self.end;
        self.end
    }

    /// Takes out those that are not of normal priority, in the order in which they were posted.
    pub(super) fn drain_prioritised(&mut self) -> impl Iterator<Item = (Priority, T)> {
        self.prioritised.drain(..)
    }

    /// Takes the newest of normal priority into `hand`.
    #[inline(always)]
    pub(super) fn pop(&mut self, hand: &mut Option<T>) {
        if self.end == self.start {
            return;
        }
        self.end -= 1;
        // SAFETY: it is there and the owner's (invariant 3), and its number was given up just now.
        super::put(hand, unsafe { read_by_words(self.base.add(self.end & self.mask)) });
    }

    /// Takes the oldest of normal priority out, where nothing is published in front of it.
    pub(super) fn pop_oldest(&mut self) -> Option<T> {
        if self.end == self.start {
            return None;
        }
        self.start += 1;
        // SAFETY: as in `pop`.
        Some(unsafe { read_by_words(self.base.add((self.start - 1) & self.mask)) })
    }

    /// Takes one out, in no particular order.
    pub(crate) fn pop_any(&mut self) -> Option<T> {
        if let Some((_, task)) = self.prioritised.pop() {
            return Some(task);
        }
        let mut hand = None;
        self.pop(&mut hand);
        hand
    }

    /// Says where the slots are, and that there is room as far as they go.
    ///
    /// # Safety
    ///
    /// The posts are those of `ring` or there are none, the oldest task that is there has the number
    /// `head` or a higher one, and `ring` moves only when the posts are attached again.
    #[inline]
    pub(super) unsafe fn attach(&mut self, ring: &mut Ring<T>, head: usize) {
        (self.base, self.mask) = (ring.base(), ring.mask());
        self.limit = head + ring.capacity();
    }

    /// Says that the next post has the number `tail`.
    ///
    /// # Safety
    ///
    /// There are no posts, `tail` is that of the ring, and not above the limit unless the posts are
    /// attached again.
    #[inline(always)]
    pub(super) unsafe fn move_to(&mut self, tail: usize) {
        debug_assert!(self.start == self.end, "there are posts");
        (self.start, self.end) = (tail, tail);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_task_is_made_only_where_there_is_room() {
        let mut posts = Posts::new();
        let refused = posts.push_made(|| unreachable!("there is no room"));
        assert!(refused.is_err() && posts.len() == 0);
        let mut ring = Ring::new();
        // SAFETY: nothing is there.
        unsafe { ring.grow(1, 0..0) };
        // SAFETY: as above.
        unsafe { posts.attach(&mut ring, 0) };
        let made =
            catch_unwind(AssertUnwindSafe(|| posts.push_made(|| panic!("not made")).is_ok()));
        assert!(made.is_err() && posts.len() == 0, "what was not made is not there");
        assert!(posts.push_made(|| Box::new(7)).is_ok());
        assert_eq!((posts.pop_any(), posts.pop_any()), (Some(Box::new(7)), None));
    }

    #[test]
    fn a_push_without_room_gives_the_task_back() {
        let mut posts = Posts::new();
        assert_eq!(posts.push(1), Err(1));
        let mut ring = Ring::new();
        // SAFETY: nothing is there.
        unsafe { ring.grow(1, 0..0) };
        // SAFETY: as above.
        unsafe { posts.attach(&mut ring, 0) };
        for task in 0..ring.capacity() {
            assert_eq!(posts.push(task), Ok(()));
        }
        for _ in 0..2 {
            assert_eq!(posts.push(1), Err(1));
        }
        posts.pop(&mut None);
        assert_eq!(posts.push(1), Ok(()));
        posts.pop(&mut None);
        posts.narrow();
        assert_eq!((posts.push(1), posts.len()), (Err(1), ring.capacity() - 1));
    }
}
