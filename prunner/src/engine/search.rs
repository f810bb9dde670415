//! What a worker does when its own queue is empty: steal, find the end, or sleep.
//!
//! Steps 4 to 9 of `engine/README.md`.

use std::time::{Duration, Instant};

use super::{queue::Queue, wake::Recheck, worker::Worker};
use crate::{
    runner::ParallelTaskRunner,
    sync::{BarrierPair as _, spin_loop, thread},
};

/// The least time between two thefts from one victim: else a thief of short tasks comes back all the
/// time and starves the one worker that makes them.
const BETWEEN_THEFTS: Duration = Duration::from_micros(15);

/// How often an idle worker looks around before it sleeps, at first without and then with letting
/// others run.
const SPINS: u32 = 20;
const YIELDS: u32 = 20;

/// What keeps a thief from being a nuisance.
#[derive(Debug)]
pub(super) struct Pace {
    /// Changes which victim comes first.
    turn: usize,
    last: Option<(usize, Instant)>,
}

impl Pace {
    pub(super) fn new(me: usize) -> Self {
        Self { turn: me, last: None }
    }

    fn allows(&self, victim: usize) -> bool {
        !self.last.is_some_and(|(last, when)| last == victim && when.elapsed() < BETWEEN_THEFTS)
    }
}

impl<R: ParallelTaskRunner, Q: Queue<R::Task>> Worker<'_, '_, R, Q> {
    /// Looks for a task elsewhere; the hand stays empty when the run is over.
    ///
    /// The own queue is empty and no task is held: this is the moment to turn idle.
    #[cold]
    #[inline(never)]
    pub(super) fn search(&mut self) {
        let crew = self.post_office.crew;
        crew.epochs.set_idle(self.post_office.me);
        crew.sleepers.begin_search();
        self.search_as_searcher();
    }

    /// The worker is idle and counted as a searcher, by itself or by whoever woke it.
    pub(super) fn search_as_searcher(&mut self) {
        let (crew, me) = (self.post_office.crew, self.post_office.me);
        let mut looks = 0;
        while crew.stop.is_going() {
            if crew.others_show_work(me) {
                if self.steal() {
                    if crew.sleepers.end_search() {
                        self.hand_over();
                    }
                    return;
                }
                looks = pause(looks + 1);
            } else if looks == 0 && crew.is_quiescent() {
                return self.end();
            } else if looks < SPINS + YIELDS {
                looks = pause(looks + 1);
            } else {
                if self.park() {
                    return self.end();
                }
                looks = 1;
            }
        }
    }

    /// Takes the oldest half of another's tasks; false if there was nothing to be had.
    ///
    /// The worker turns busy *before* it takes anything (H4), and idle again if there was nothing.
    fn steal(&mut self) -> bool {
        let (crew, me) = (self.post_office.crew, self.post_office.me);
        self.pace.turn = self.pace.turn.wrapping_add(1);
        let pace = &self.pace;
        let mut victims = crew
            .victims(me, pace.turn)
            .filter(|&victim| crew.shows_work(victim) && pace.allows(victim))
            .peekable();
        if victims.peek().is_none() {
            return false;
        }
        crew.epochs.set_busy(me);
        let (queue, posts) = (&mut self.post_office.queue, &mut self.effects.posts);
        let hand = &mut self.hand;
        let robbed = victims.find(|&victim| {
            if let Some(stealer) = crew.stealer(victim) {
                queue.steal_from(stealer, posts, hand);
            }
            hand.is_some()
        });
        match robbed {
            Some(victim) => self.pace.last = Some((victim, Instant::now())),
            None => crew.epochs.set_idle(me),
        }
        robbed.is_some()
    }

    /// Wakes the next searcher if there is more to find than this one has taken: posts that came
    /// while it searched have woken nobody (H8).
    #[cold]
    fn hand_over(&mut self) {
        // The poster's light barrier pairs with this: it saw a searcher, so its post is seen here.
        Q::BARRIER.heavy();
        if self.post_office.crew.anybody_shows_work() {
            self.post_office.wake_one();
        }
    }

    /// Sleeps until there may be work; true if the run has ended instead.
    fn park(&mut self) -> bool {
        let (crew, me) = (self.post_office.crew, self.post_office.me);
        let mut ended = false;
        let recheck = crew.sleepers.register(me, || {
            // Pairs with the light barrier after a post (H7), and with that of another worker that
            // turns idle at the same time: the later of the two sees the end.
            Q::BARRIER.heavy();
            ended = crew.is_quiescent();
            ended || !crew.stop.is_going() || crew.others_show_work(me)
        });
        if recheck == Recheck::Sleep {
            crew.sleepers.sleep(me);
        }
        ended
    }

    fn end(&self) {
        let crew = self.post_office.crew;
        crew.stop.done();
        crew.sleepers.rouse_all();
    }
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
