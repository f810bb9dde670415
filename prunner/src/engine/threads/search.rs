//! What a worker does when its own queue is empty: steal, find the end, or sleep.
//!
//! Steps 4 to 9 of `engine/threads/README.md`.

use super::{
    epochs::Epochs,
    parking::{Recheck, Sleepers},
};
use crate::{
    engine::stop::Stop,
    sync::{Barrier, BarrierPair as _, spin_loop, thread},
};

/// How often an idle worker looks around before it sleeps, at first without and then with letting
/// others run.
///
/// A model checker looks at every moment in any case.
const SPINS: u32 = if cfg!(prunner_loom) { 0 } else { 20 };
const YIELDS: u32 = if cfg!(prunner_loom) { 0 } else { 20 };

/// Where a worker searches: its run, or a model of one.
pub(super) trait Ground {
    const BARRIER: Barrier;

    /// The number of the worker that searches.
    fn me(&self) -> usize;
    fn stop(&self) -> &Stop;
    fn epochs(&self) -> &Epochs;
    fn sleepers(&self) -> &Sleepers;

    /// Whether anybody has a task to give away.
    fn anybody_shows_work(&self) -> bool;

    /// Whether somebody else has a task to give away.
    fn others_show_work(&self) -> bool;

    /// Takes tasks of somebody else; false if there was nothing to be had.
    ///
    /// The worker turns busy *before* it takes anything (H4), and idle again if there was nothing.
    fn steal(&mut self) -> bool;

    /// Wakes one sleeper, which may mean to start it.
    fn wake_one(&mut self);

    /// The end rule: all idle, all queues empty, seen twice without a change.
    fn is_quiescent(&self) -> bool {
        self.epochs().quiescent(|| !self.anybody_shows_work())
    }
}

/// Looks for a task until one is stolen or the run is over. The worker is idle and counted as a searcher,
/// by itself or by the worker that woke it.
pub(super) fn search(ground: &mut impl Ground) {
    let mut looks = 0;
    while ground.stop().is_going() {
        if ground.others_show_work() {
            if ground.steal() {
                if ground.sleepers().end_search() {
                    hand_over(ground);
                }
                return;
            }
            looks = pause(looks + 1);
        } else if looks == 0 && ground.is_quiescent() {
            return end(ground);
        } else if looks < SPINS + YIELDS {
            looks = pause(looks + 1);
        } else {
            if park(ground) {
                return end(ground);
            }
            looks = 1;
        }
    }
}

/// Wakes the next searcher if there is more to find than this one has taken: posts that came while it
/// searched have woken no worker (H8).
#[cold]
fn hand_over<G: Ground>(ground: &mut G) {
    // The poster's light barrier pairs with this: it saw a searcher, so its post is seen here.
    G::BARRIER.heavy();
    if ground.anybody_shows_work() {
        ground.wake_one();
    }
}

/// Sleeps until there may be work; true if the run has ended instead.
fn park<G: Ground>(ground: &G) -> bool {
    let me = ground.me();
    let mut ended = false;
    let recheck = ground.sleepers().register(me, || {
        // Pairs with the light barrier after a post (H7), and with that of another worker that
        // turns idle at the same time: the later of the two sees the end.
        G::BARRIER.heavy();
        ended = ground.is_quiescent();
        ended || !ground.stop().is_going() || ground.others_show_work()
    });
    if recheck == Recheck::Sleep {
        ground.sleepers().sleep(me);
    }
    ended
}

fn end(ground: &impl Ground) {
    ground.stop().done();
    ground.sleepers().unpark_all();
}

/// Lets the other side of a wait go on; returns `looks`.
fn pause(looks: u32) -> u32 {
    if looks.is_multiple_of(SPINS) || looks > SPINS {
        thread::yield_now();
    } else {
        (0..1 << looks.min(6)).for_each(|_| spin_loop());
    }
    looks
}
