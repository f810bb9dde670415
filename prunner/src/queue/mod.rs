//! What a worker's queue is: the owner commits and takes at one end, thieves take the oldest half.
//!
//! Two implementations: [`BiasedQueue`] where the machine has `membarrier(2)`, and [`DequeQueue`]
//! everywhere else.

mod biased_queue;
mod buffer;
mod deque_queue;
mod lanes;
mod posts;
mod ring;

pub(crate) use biased_queue::BiasedQueue;
pub(crate) use buffer::Buffer;
pub(crate) use deque_queue::DequeQueue;
pub(crate) use posts::Posts;

use std::mem;

use serde::{Deserialize, Serialize};

use crate::sync::Barrier;

/// In which order a worker takes the tasks of its own queue.
///
/// Thieves take the oldest tasks either way. The order is a preference, not a promise: with more
/// than one worker tasks run side by side.
///
/// ```
/// use prunner::{Append, Key, MessageLoop, Order, Runner, merge, post_task};
///
/// const RAN: Key<Append<u32>> = Key::new("ran");
///
/// fn begin() {
///     (1..=3).for_each(|n| post_task(|n| merge(RAN, Append::one(n)), n));
/// }
///
/// for (order, expected) in [(Order::Lifo, [3, 2, 1]), (Order::Fifo, [1, 2, 3])] {
///     let program = MessageLoop::new(begin, || ());
///     let report = Runner::new(program).workers(1).order(order).start()?;
///     assert_eq!(report.dict().get(RAN).unwrap_or_default().0, expected);
/// }
/// # Ok::<(), prunner::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Order {
    /// Newest first: follow-ups run before older tasks, so that memory stays as small as the depth
    /// of the work, not its breadth.
    #[default]
    Lifo,
    /// Oldest first: tasks run roughly in the order in which they were posted.
    Fifo,
}

/// The owner's side of a queue.
pub(crate) trait Queue<T>: Send + Sized {
    /// The barriers that the worker uses beside this queue.
    const BARRIER: Barrier;

    /// What everybody else holds of it.
    type Stealer: Stealer;

    /// Makes an empty queue and the handle for thieves.
    fn new(order: Order) -> (Self, Self::Stealer);

    /// Makes room for at least one more post. Here as everywhere in this trait, `posts` are new or have
    /// been used with this queue alone.
    fn make_room(&mut self, posts: &mut Posts<T>);

    /// Publishes `posts` (which is left empty) and takes the next task to run into `hand`.
    fn commit(&mut self, posts: &mut Posts<T>, hand: &mut Option<T>);

    /// Takes the next task to run into `hand`, if there is one; `posts` must be empty.
    fn pop(&mut self, posts: &mut Posts<T>, hand: &mut Option<T>);

    /// Publishes `posts` (which is left empty).
    fn publish(&mut self, posts: &mut Posts<T>);

    /// Spares the next thief what it can be spared, because the owner is about to wake it.
    fn expect_thief(&mut self);

    /// Moves the oldest half of the victim's tasks into this queue, which must be empty as `posts`
    /// must; one of them goes into `hand`, to be run at once.
    ///
    /// The hand stays empty when the victim has nothing left or cannot be reached now.
    fn steal_from(&mut self, victim: &Self::Stealer, posts: &mut Posts<T>, hand: &mut Option<T>);
}

/// Puts a task into an empty hand: straight from where it lies to where it runs, without looking
/// whether there is something to be dropped first.
#[inline(always)]
fn put<T>(hand: &mut Option<T>, task: T) {
    debug_assert!(hand.is_none(), "the hand already holds a task");
    mem::forget(hand.replace(task));
}

/// What other workers see of a queue.
pub(crate) trait Stealer: Send + Sync {
    /// Whether there is something to take. Acquire: a thief that emptied the queue was busy before
    /// it took, and a worker that sees the queue empty sees that (see `engine/threads/README.md`, step 6).
    fn shows_work(&self) -> bool;
}
