//! Workers that lease their tasks from a broker.
//!
//! A worker takes a lease, runs its tasks and their follow-ups by itself for some milliseconds, newest
//! first, and commits once: what is left then goes back to the broker. It does so sooner when others
//! wait. While it commits it already runs the next lease. A single worker that takes the oldest first
//! leaves follow-ups to the next leases instead, and takes one lease at a time.
//!
//! * `worker`: the loop that runs handlers; `slice`: for how long; `office`: where their posts go, by way
//!   of `outgoing`;
//!   `room`: beside which others.
//! * `slot`: what a worker shares with its keeper; `state`: what it has in hand (`roots`, `lanes`),
//!   which is bytes and numbers alone; `batching`: how much, and in which order.
//! * `draft`, `sending`: how that becomes a commit, and how the commit is answered.
//! * `keeper`: what must happen while a handler runs, and runs no code of the program: answers,
//!   renewals, limits. `packer`: what does, for the keeper.
//! * `home`: the dict of a worker, whose truth is the broker's.

mod batching;
mod draft;
mod home;
mod keeper;
mod lanes;
mod office;
mod outgoing;
mod packer;
mod room;
mod roots;
mod sending;
mod slice;
mod slot;
mod state;
mod worker;

use batching::Batching;
pub(crate) use home::SlotDict;
pub(crate) use keeper::{Keeper, Overdue};
pub(crate) use packer::Packer;
pub(crate) use room::Room;
pub(crate) use slot::Slot;
pub(crate) use worker::Seat;

use crate::broker::{Commit, Release, Token};

/// How workers reach their broker. Questions are answered through the [`Keeper`]; if the broker cannot
/// be reached any more, the thread that reads the answers finds out.
pub(crate) trait Link: Send + Sync {
    /// Asks for a lease for each token. Each is answered as soon as there is something for it.
    fn want(&self, seat: u16, want: Vec<Token>);

    /// Sends a commit, and asks for a lease for each token. Returns the commit, which may have to be
    /// sent again.
    fn commit(&self, seat: u16, commit: Commit, want: Vec<Token>) -> Commit;

    /// Asks for the dict's lock; answered when it is held, or the lease gone.
    fn lock(&self, seat: u16, token: Token);

    /// Asks for an entry of the dict.
    fn read(&self, seat: u16, token: Token, key: &str, known: u64);

    /// Gives a lease back.
    fn release(&self, seat: u16, token: Token, why: Release);

    /// Renews leases.
    fn renew(&self, tokens: Vec<Token>);

    /// Says what to call a task if it kills this worker.
    fn suspect(&self, token: Token, label: &str, data: Option<String>);

    /// Says that the dict cannot be made whole: the run has failed.
    fn broken(&self, why: String);
}
