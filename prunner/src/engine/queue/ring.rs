//! A ring of tasks of which the owner writes one end without a lock.
//!
//! Tasks have numbers that only ever fit into the ring's last `capacity` of them. Those from `head` to
//! `tail` are published: they belong to whoever is inside the queue's lock. Those from `tail` to the
//! end of the [`Posts`] are follow-ups of the running handler: they belong to the owner alone, and
//! become published when `tail` moves over them. So a follow-up is written once, to where it will be
//! taken from.

use std::{mem::MaybeUninit, ops::Range};

use crate::task::Priority;

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

    /// Takes the task with this number out.
    ///
    /// # Safety
    ///
    /// It was written, has not been read since, and belongs to the caller.
    #[inline(always)]
    pub(super) unsafe fn read(&self, number: usize) -> T {
        debug_assert!(self.capacity() > 0);
        let slot = number & (self.capacity().wrapping_sub(1));
        // SAFETY: the mask keeps the slot inside, and the caller says that a task is there.
        unsafe { read_by_words(self.slots.as_ptr().add(slot).cast::<T>()) }
    }

    /// Makes room for at least `capacity` tasks, of which those in `live` are there and stay.
    pub(super) fn grow(&mut self, capacity: usize, live: Range<usize>) {
        let old = self.capacity();
        let new = capacity.next_power_of_two().max(FIRST_CAPACITY);
        if new <= old {
            return;
        }
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

    /// Copies the tasks in `live` to the start of `to`, as its numbers 0, 1, 2 and so on; `to` must be
    /// empty. They are gone from here.
    pub(super) fn move_into(&mut self, live: Range<usize>, to: &mut Ring<T>) {
        let count = live.len();
        if count == 0 {
            return;
        }
        to.grow(count, 0..0);
        let first = live.start & (self.capacity() - 1);
        let before_wrap = count.min(self.capacity() - first);
        let (from, to) = (self.slots.as_ptr(), to.slots.as_mut_ptr());
        // SAFETY: both stretches are inside their vectors, which are not the same.
        unsafe { to.copy_from_nonoverlapping(from.add(first), before_wrap) };
        // SAFETY: as above; what is left starts over at slot 0.
        unsafe { to.add(before_wrap).copy_from_nonoverlapping(from, count - before_wrap) };
    }

    /// Drops the tasks in `live`.
    ///
    /// # Safety
    ///
    /// They are there and belong to the caller.
    pub(super) unsafe fn drop_tasks(&mut self, live: Range<usize>) {
        for number in live {
            // SAFETY: as the caller promises.
            drop(unsafe { self.read(number) });
        }
    }

    /// Opens the far end for follow-ups, behind the published tasks. There is room for one at least if
    /// the ring is larger than what is in it.
    pub(super) fn open(&mut self, published: Range<usize>) -> Window<T> {
        Window {
            base: self.slots.as_mut_ptr().cast(),
            mask: self.capacity().wrapping_sub(1),
            start: published.end,
            end: published.end,
            limit: published.start + self.capacity(),
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
unsafe fn read_by_words<T>(from: *const T) -> T {
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

/// The owner's end of a ring: the follow-ups of the running handler.
pub(super) struct Window<T> {
    base: *mut T,
    mask: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The number that would overwrite the oldest task that may still be there, or less.
    pub(super) limit: usize,
}

/// The follow-ups of the running handler, until it commits.
pub(crate) struct Posts<T> {
    pub(super) window: Window<T>,
    pub(super) prioritised: Vec<(Priority, T)>,
}

impl<T> Posts<T> {
    pub(super) fn new(window: Window<T>) -> Self {
        Self { window, prioritised: Vec::new() }
    }

    /// Adds a follow-up; returns whether it has taken the last room.
    ///
    /// Looking afterwards and not before leaves nothing to be done with the task when there is no room:
    /// it goes from the caller's registers to its slot, and handlers have this inlined.
    ///
    /// # Safety
    ///
    /// There is room for one: more was made when the last was taken.
    #[inline(always)]
    pub(crate) unsafe fn push(&mut self, task: T) -> bool {
        let window = &mut self.window;
        debug_assert!(window.end < window.limit, "there is no room for a post");
        // SAFETY: the mask keeps the slot inside the ring, which changes its place only together with
        // this window; numbers from `start` to `limit` belong to the owner, and `end` is one of them.
        unsafe { window.base.add(window.end & window.mask).write(task) };
        window.end += 1;
        window.end == window.limit
    }

    /// Leaves room for a single post.
    pub(crate) fn narrow(&mut self) {
        self.window.limit = self.window.end + 1;
    }

    /// Adds a follow-up that is not of normal priority.
    pub(crate) fn push_prioritised(&mut self, priority: Priority, task: T) {
        self.prioritised.push((priority, task));
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.normal() + self.prioritised.len()
    }

    #[inline(always)]
    pub(super) fn normal(&self) -> usize {
        self.window.end - self.window.start
    }

    #[inline(always)]
    pub(super) fn has_prioritised(&self) -> bool {
        !self.prioritised.is_empty()
    }

    /// Takes the newest of normal priority into `hand`.
    #[inline(always)]
    pub(super) fn pop(&mut self, hand: &mut Option<T>) {
        let window = &mut self.window;
        if window.end == window.start {
            return;
        }
        window.end -= 1;
        // SAFETY: `push` wrote it and nothing has read it; the owner's end belongs to the owner.
        super::put(hand, unsafe { read_by_words(window.base.add(window.end & window.mask)) });
    }

    /// Takes everything out, in no particular order.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let prioritised = self.prioritised.drain(..).map(|(_, task)| task);
        let mut all: Vec<T> = prioritised.collect();
        all.extend(std::iter::from_fn(|| {
            let mut hand = None;
            self.pop(&mut hand);
            hand
        }));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_keep_their_numbers_when_the_ring_grows() {
        for head in [0, 1, 63, 64, 100, 127, 128, 1000] {
            let mut ring = Ring::new();
            ring.grow(1, 0..0);
            let mut window = Posts::new(ring.open(head..head));
            let mut tail = head;
            for round in 0..3 {
                let mut last = false;
                while !last {
                    let number = Box::new(window.window.end);
                    // SAFETY: the last room was not taken.
                    last = unsafe { window.push(number) };
                }
                tail = window.window.end;
                assert_eq!(tail - head, ring.capacity(), "round {round}");
                ring.grow(ring.capacity() + 1, head..tail);
                window = Posts::new(ring.open(head..tail));
            }
            for number in head..tail {
                // SAFETY: each was written once above and is read once here.
                assert_eq!(*unsafe { ring.read(number) }, number);
            }
        }
    }

    #[test]
    fn a_theft_over_the_seam_keeps_the_order() {
        let (mut ring, mut loot) = (Ring::new(), Ring::new());
        ring.grow(1, 0..0);
        let mut posts = Posts::new(ring.open(50..50));
        for task in 50..50 + 64 {
            // SAFETY: the ring has 64 slots.
            unsafe { posts.push(task.to_string()) };
        }
        ring.move_into(50..100, &mut loot);
        for (at, task) in (50..100).enumerate() {
            // SAFETY: it was moved here and is read once.
            assert_eq!(unsafe { loot.read(at) }, task.to_string());
        }
        // SAFETY: these are the ones that were not moved.
        unsafe { ring.drop_tasks(100..114) };
    }
}
