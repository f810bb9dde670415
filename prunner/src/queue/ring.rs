//! A ring of tasks of which the owner writes one end without a lock.
//!
//! Tasks have numbers. Those from `head` to `tail` are published; those from `tail` to the end of the
//! [`Posts`](super::Posts) are follow-ups of the running handler, and become published when `tail` moves
//! over them. So a follow-up is written once, to where it will be taken from.
//!
//! # Invariants
//!
//! Every SAFETY note of this folder rests on these and names them.
//!
//! 1. **Slots.** A task lies in the slot that the low bits of its number name. All tasks that are there
//!    have numbers within `capacity` of each other, so no two share a slot.
//! 2. **Published.** The tasks from `head` to `tail` are there, and belong to the one inside the
//!    queue's lock.
//! 3. **Follow-ups.** The posts from `start` to `end` are there and belong to the owner alone. `start` is
//!    `tail`, except where posts are drained from a [`Buffer`](super::Buffer), which publishes nothing.
//! 4. **Room.** `start <= end <= limit <= head + capacity`. A push at the limit is refused, so a number
//!    that is written has its slot in the ring and the slot is free. `head` only grows until the posts
//!    are attached again: a limit may be lower than it could be, never higher.
//! 5. **One place.** The posts know where the slots are. Whoever grows a ring, or swaps it for another,
//!    attaches its posts again before it returns.
//! 6. **No code of the program** runs while one of these does not hold. Growing and moving copy bytes;
//!    a task is dropped after its number was given up; and a post makes room and is written before
//!    anything is published or merged on its account, which may panic.

use std::{mem::MaybeUninit, ops::Range};

use crate::failure::drop_quietly;

/// Storage for tasks by number; it neither knows nor drops which of them are there.
pub(super) struct Ring<T> {
    /// As long as its capacity, which is zero or a power of two.
    slots: Vec<MaybeUninit<T>>,
}

const FIRST_CAPACITY: usize = 64;

impl<T> Ring<T> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Where the slots are.
    pub(super) fn base(&mut self) -> *mut T {
        self.slots.as_mut_ptr().cast()
    }

    /// What gives a number's slot; meaningless while there is none.
    pub(super) fn mask(&self) -> usize {
        self.capacity().wrapping_sub(1)
    }

    /// Takes the task with this number out.
    ///
    /// # Safety
    ///
    /// It was written, has not been read since, and belongs to the caller (invariants 2 and 3).
    #[inline(always)]
    pub(super) unsafe fn read(&self, number: usize) -> T {
        debug_assert!(self.capacity() > 0);
        let slot = number & self.mask();
        // SAFETY: the mask keeps the slot inside, and the caller says that a task is there.
        unsafe { read_by_words(self.slots.as_ptr().add(slot).cast::<T>()) }
    }

    /// Makes room for at least `capacity` tasks, of which those in `live` are there and stay. It panics,
    /// with nothing changed, where memory cannot hold so many.
    ///
    /// # Safety
    ///
    /// `live` is no longer than the capacity is now, no task outside `live` is there, and all of them
    /// belong to the caller (invariants 1 to 3). Posts of this ring are attached again before they are
    /// used (invariant 5).
    pub(super) unsafe fn grow(&mut self, capacity: usize, live: Range<usize>) {
        let old = self.capacity();
        let new = capacity.next_power_of_two().max(FIRST_CAPACITY);
        if new <= old {
            return;
        }
        debug_assert!(live.len() <= old, "{live:?} were in {old} slots");
        self.slots.reserve_exact(new - old);
        // SAFETY: the memory is reserved, and a `MaybeUninit` need not be initialised.
        unsafe { self.slots.set_len(new) };
        // The old mask cut the numbers into laps, and tasks of at most two laps are there. All tasks of
        // one lap keep their distance, so each lap stays or moves as a whole.
        let base = self.slots.as_mut_ptr();
        let mut start = live.start;
        while start < live.end {
            let end = live.end.min((start | old.wrapping_sub(1)) + 1);
            let (from, to) = (start & old.wrapping_sub(1), start & (new - 1));
            if from != to {
                // SAFETY: both stretches are inside. The target starts at `old` or behind, where
                // nothing was, so they are apart, and two laps have two targets.
                unsafe { base.add(to).copy_from_nonoverlapping(base.add(from), end - start) };
            }
            start = end;
        }
    }

    /// Copies the tasks in `live` to the start of `to`, as its numbers 0, 1, 2 and so on. They are gone
    /// from here.
    ///
    /// # Safety
    ///
    /// They are there and belong to the caller, who does not use their old numbers again (invariants 1
    /// and 2). `to` is empty and has no posts (invariant 5).
    pub(super) unsafe fn move_into(&mut self, live: Range<usize>, to: &mut Ring<T>) {
        let count = live.len();
        if count == 0 {
            return;
        }
        debug_assert!(count <= self.capacity(), "{live:?} were in {} slots", self.capacity());
        // SAFETY: as the caller promises, nothing is in it.
        unsafe { to.grow(count, 0..0) };
        let first = live.start & self.mask();
        let before_wrap = count.min(self.capacity() - first);
        let (from, to) = (self.slots.as_ptr(), to.slots.as_mut_ptr());
        // SAFETY: both stretches are inside their vectors, which are not the same.
        unsafe { to.copy_from_nonoverlapping(from.add(first), before_wrap) };
        // SAFETY: as above; what is left starts over at slot 0.
        unsafe { to.add(before_wrap).copy_from_nonoverlapping(from, count - before_wrap) };
    }

    /// Drops the tasks in `live`, also when a destructor panics.
    ///
    /// # Safety
    ///
    /// They are there, belong to the caller (invariants 2 and 3), and their numbers are not used again.
    pub(super) unsafe fn drop_tasks(&mut self, live: Range<usize>) {
        for number in live {
            // SAFETY: as the caller promises.
            drop_quietly(unsafe { self.read(number) });
        }
    }
}

/// Reads a task word by word.
///
/// A handler has usually written it a moment ago, field by field. A processor forwards such stores to
/// loads of the same words, but not to one wide load over several of them, which is what a plain read
/// becomes: it would wait until the stores have reached the cache. Measured: 9.4 against 12 ns a task
/// of sum_up.
///
/// # Safety
///
/// As for `ptr::read`.
#[inline(always)]
pub(super) unsafe fn read_by_words<T>(from: *const T) -> T {
    type Word = MaybeUninit<u64>;
    const FEW: usize = 8;
    let words = size_of::<T>() / size_of::<Word>();
    if align_of::<T>() != align_of::<Word>()
        || words * size_of::<Word>() != size_of::<T>()
        || words > FEW
    {
        // SAFETY: as the caller promises.
        return unsafe { from.read() };
    }
    let mut task = MaybeUninit::<T>::uninit();
    for word in 0..words {
        // SAFETY: inside the task, and aligned as the task is. Volatile keeps the words apart.
        let value = unsafe { from.cast::<Word>().add(word).read_volatile() };
        // SAFETY: inside the copy, and aligned as the task is.
        unsafe { task.as_mut_ptr().cast::<Word>().add(word).write(value) };
    }
    // SAFETY: every word of it has been copied.
    unsafe { task.assume_init() }
}

#[cfg(test)]
mod tests {
    use super::{super::Posts, *};

    #[test]
    fn tasks_keep_their_numbers_when_the_ring_grows() {
        for head in [0, 1, 63, 64, 100, 127, 128, 1000] {
            let mut ring = Ring::new();
            let mut posts = Posts::new();
            // SAFETY: nothing is there.
            unsafe { posts.move_to(head) };
            for round in 0..3 {
                // SAFETY: these were pushed below, and the posts are attached again at once.
                unsafe { ring.grow(ring.capacity() + 1, head..posts.end()) };
                // SAFETY: as above; nothing is in front of `head`.
                unsafe { posts.attach(&mut ring, head) };
                while posts.push(Box::new(posts.end())).is_ok() {}
                assert_eq!(posts.end() - head, ring.capacity(), "round {round}");
            }
            for number in head..posts.publish() {
                // SAFETY: each was written once above and is read once here.
                assert_eq!(*unsafe { ring.read(number) }, number);
            }
        }
    }

    #[test]
    fn a_theft_over_the_seam_keeps_the_order() {
        let (mut ring, mut loot) = (Ring::new(), Ring::new());
        let mut posts = Posts::new();
        // SAFETY: nothing is there.
        unsafe { ring.grow(1, 0..0) };
        // SAFETY: as above.
        unsafe { posts.move_to(50) };
        // SAFETY: as above.
        unsafe { posts.attach(&mut ring, 50) };
        for task in 50..50 + 64 {
            assert!(posts.push(task.to_string()).is_ok(), "the ring has 64 slots");
        }
        posts.publish();
        // SAFETY: they were pushed above.
        unsafe { ring.move_into(50..100, &mut loot) };
        for (at, task) in (50..100).enumerate() {
            // SAFETY: it was moved here and is read once.
            assert_eq!(unsafe { loot.read(at) }, task.to_string());
        }
        // SAFETY: these are the ones that were not moved.
        unsafe { ring.drop_tasks(100..114) };
    }
}
