//! Workers that lease their tasks from a broker.
//!
//! A worker takes a lease, runs its tasks and their follow-ups by itself for some milliseconds, newest
//! first, and commits once: what is left then goes back to the broker. It does so sooner when others
//! wait. While it commits it already runs the next lease. A single worker that takes the oldest first
//! leaves follow-ups to the next leases instead, and takes one lease at a time.
//!
//! * `desk`: what one worker has in hand; shared with the keeper.
//! * `worker`: the loop that runs handlers.
//! * `keeper`: what must happen while a handler runs: answers, renewals, and giving away what waits
//!   behind a long handler.
//! * `home`: the dict of a worker, whose truth is the broker's.

mod counts;
mod desk;
mod home;
mod keeper;
mod worker;

pub(crate) use desk::{Desk, Phase, Sizes};
pub(crate) use home::DeskHome;
pub(crate) use keeper::Keeper;
pub(crate) use worker::{Room, Seat, failed};

use crate::broker::{Commit, Release, Token};

/// How workers reach their broker. Questions are answered through the [`Keeper`]; if the broker cannot
/// be reached any more, whoever reads the answers finds out.
pub(crate) trait Link: Send + Sync {
    /// [`Broker::step`](crate::broker::Broker::step), but it does not wait: a token that is wanted is
    /// answered as soon as there is something for it. Returns the commit, which may have to be sent
    /// again.
    fn step(&self, seat: u16, commit: Option<Commit>, want: &[Token]) -> Option<Commit>;

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
