//! The protocols of the engines as finite models, explored completely.
//!
//! A stress test runs some interleavings of a protocol, mostly the same ones. A model here is the
//! protocol reduced to its steps, small enough to visit *every* state that any interleaving leads
//! to: with no bound on preemptions, and no luck needed. [`checker`] visits them.
//!
//! | model | question |
//! | --- | --- |
//! | [`end_rule`] | is everything finished when a worker declares the end? |
//! | [`ledger`] | do the counts of posted and finished tasks prove it? |
//! | [`last_look`] | does anybody declare it, if everybody goes to sleep? |
//! | [`biased_lock`] | is there never more than one at a queue? |
//! | [`park_wake`] | does a task never wait while a worker sleeps on? |
//! | [`sharing`] | does a task never wait behind a handler while a worker process has nothing? |
//! | [`litmus`] | is [`store_buffer`], the memory of the last three, as weak as x86 is? |
//!
//! # Wrong twins
//!
//! A check that cannot fail proves nothing. So every model has twins, each with one mistake that
//! somebody made or could make, and a test passes if the explorer finds the mistake. Some twins are
//! sound with two workers, or with few tasks: these bounds are tested too, as they say how large a
//! model must be before it means anything.
//!
//! # How to read a counterexample
//!
//! It is a shortest one, and every line is one atomic step: the number of the worker or thread, and
//! what it does. This is the biased lock without its barrier:
//!
//! ```text
//! two threads are inside after 5 steps:
//!    1. 0: stores own = 1
//!    2. 0: sees want == 0, enters
//!    3. 1: swaps want to 1
//!    4. 1: calls no barrier
//!    5. 1: sees own == 0, enters
//! ```
//!
//! What is *not* there matters as much: nowhere does "0: has its oldest store reach memory", so the
//! store of the first line is still in thread 0's buffer in the last one.
//!
//! Find the step after which the end was certain, and ask what the protocol has there that the twin
//! lacks. If it is the protocol itself that fails: is the model wrong, or the protocol? The first
//! step that the real program could not take decides.
//!
//! # What a model does not show
//!
//! - It is finite: two or three workers, a few tasks. `PRUNNER_MODEL_LARGE=1` makes it larger.
//! - Every run *can* reach its end from everywhere. How fair the scheduler is, is not its matter.
//! - It is written by hand beside the engine: who changes one has to change the other.

pub mod biased_lock;
pub mod checker;
pub mod end_rule;
pub mod last_look;
pub mod ledger;
pub mod litmus;
pub mod park_wake;
pub mod sharing;
pub mod store_buffer;
