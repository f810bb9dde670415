//! Who sleeps and who wakes whom: the `sleepers | searching` word.
//!
//! # The protocol
//!
//! One word counts the workers that sleep and those that search. A list under a mutex says which
//! ones sleep. Every queue has a plain flag, `visible`, that is 1 while there is something to
//! steal.
//!
//! - **Post**: store the task and `visible = 1`, both plain; then, with no more than a compiler
//!   fence between, load the word. If somebody sleeps and nobody searches, wake one.
//! - **Wake one**: take the mutex; if somebody searches by now, leave it at that. Else take a
//!   sleeper off the list, set its `notified`, count it as searching instead of sleeping, release
//!   the mutex, and unpark it.
//! - **Search**: a worker without a task counts itself as searching and looks at all queues. Where
//!   it sees something, it steals half: lock the queue, `membarrier`, take. It puts all but the
//!   first task into its own queue.
//! - **Hand over**: having found a task, it stops counting as searching. If it was the last to
//!   search and somebody sleeps, it calls `membarrier`, looks at all queues, and wakes one if
//!   something is visible.
//! - **Park**: having found nothing, it takes the mutex, clears its `notified`, puts itself on the
//!   list, counts as sleeping instead of searching, and releases the mutex. Then it calls
//!   `membarrier` and looks *again*: at the queues, at `done`, and whether all work is finished.
//!   Only if there is nothing does it park, until it is notified.
//! - **Unregister**: if there was something, it takes itself off the list and goes on searching. If
//!   it is no longer on the list, somebody has woken it, and counted it as searching.
//! - **End**: who sees that all work is finished stores `done` and notifies everybody on the list.
//!
//! # The property
//!
//! No worker sleeps on while a task waits. To see this as a deadlock, the user has **long
//! handlers** from some moment on: then a handler ends only when no task waits, or when every
//! worker is in a handler. (In a counterexample the user has the number after the last worker.)
//! From every reachable state, with long handlers or not, all workers must be able to get to the
//! exit. And `searching` must at any time equal the number of workers that search.
//!
//! All workers but the first are asleep in the beginning: a worker never started is a sleeper that
//! is started by its wake-up.
//!
//! # What is one step
//!
//! Queues are changed in one step each, as their lock has a model of [its own](super::biased_lock);
//! but a thief holds the lock for two steps, so that others can meet it. What is done under the
//! mutex is one step, as far as nobody can see or disturb it without the mutex; in *wake one* the
//! word can be changed, so that looking at it and changing it are two steps. Whether all work is
//! finished is asked of an oracle, as the true answer is the matter of
//! [`end_rule`](super::end_rule) and [`last_look`](super::last_look).
//!
//! # Hazards
//!
//! - **Post between look and list**: a searcher looks, a task is posted, the poster loads the word,
//!   and only then the searcher is on the list. See [`Variant::NoSecondLook`]. The same happens to
//!   a second look that a store buffer makes miss the post, see [`Variant::NoBarrierBeforePark`],
//!   and to a post that is not yet there, see [`Variant::WordBeforePublish`].
//! - **One wake for two tasks**: while somebody searches, a post wakes nobody; and who searches
//!   takes one task. See [`Variant::NoHandOver`].
//! - **Post between look and leave**: at the other end of a search, a poster still sees a searcher,
//!   who no longer looks; or looks once more, but cannot see what is in the poster's store buffer.
//!   See [`Variant::NoBarrierBeforeHandOver`].
//! - **Yesterday's notification**: a waker that sets `notified` after it has released the mutex may
//!   do so much later, when its sleeper has worked, searched, and gone to sleep again: a worker
//!   wakes that counts as sleeping. See [`Variant::NotificationLeftBehind`].

mod park;
mod phase;
mod post;
mod search;
mod state;

use super::checker::{Model, Turn};
use phase::Phase;
pub use state::{MOST_WORKERS, State};

/// The protocol with `WORKERS` workers, at most [`MOST_WORKERS`].
#[derive(Clone, Copy, Debug)]
pub struct ParkWake<const WORKERS: usize> {
    /// The protocol, another sound form of it, or one of its wrong twins.
    pub variant: Variant,
    /// How many tasks all handlers together may post, on top of the one that worker 0 runs in the
    /// beginning.
    pub budget: u8,
}

/// The protocol, or what another form of it does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The protocol as it is written above.
    Membarrier,
    /// As sound, and slower: everybody executes a fence where the protocol has a compiler fence or
    /// calls `membarrier`.
    Fences,
    /// As sound, and one `membarrier` cheaper: a searcher stops counting as searching *before* it
    /// steals, so that the barrier of the steal is also the one of the hand-over. If there was
    /// nothing to steal, it counts as searching again.
    LeaveBeforeSteal,
    /// As sound, without barrier and look in *hand over*: who was the last to search wakes the next
    /// whenever somebody sleeps.
    HandOverUnseen,
    /// As sound, and it has to wait: `notified` is set after the mutex has been released, and a
    /// worker that finds itself off the list waits for that.
    NotifiedLater,
    /// Wrong: between registering and parking, a worker only looks whether all is finished.
    NoSecondLook,
    /// Wrong: no barrier between registering and the second look.
    NoBarrierBeforePark,
    /// Wrong: a searcher that has found a task does not look for more.
    NoHandOver,
    /// Wrong: no barrier between counting down and looking for more.
    NoBarrierBeforeHandOver,
    /// Wrong: the poster loads the word first, then publishes.
    WordBeforePublish,
    /// Wrong: `notified` is set after the mutex has been released, and nobody waits for that.
    NotificationLeftBehind,
}

type Steps<'a, const WORKERS: usize> = Turn<'a, State<WORKERS>>;

impl<const WORKERS: usize> ParkWake<WORKERS> {
    /// Calls `membarrier` once the worker's own stores are in memory; or makes do with a fence.
    fn begin_barrier(&self, then: Phase, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if !turn.state.memory.is_drained(me) {
            return;
        }
        if self.variant == Variant::Fences {
            turn.step("executes a fence", |next| next.enter(me, then));
        } else {
            turn.step("calls membarrier", |next| {
                next.memory.begin_barrier(me);
                next.enter(me, then);
            });
        }
    }

    /// Returns from `membarrier`.
    fn end_barrier(&self, then: Phase, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.memory.barrier_passed(me) {
            turn.step("passes the barrier", |next| next.enter(me, then));
        }
    }
}

impl<const WORKERS: usize> Model for ParkWake<WORKERS> {
    type State = State<WORKERS>;

    fn initial(&self) -> State<WORKERS> {
        State::new(self.budget)
    }

    /// The workers, and the user who wrote the handlers.
    fn actors(&self) -> usize {
        WORKERS + 1
    }

    fn turn(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if me == WORKERS {
            if !turn.state.long_handlers {
                turn.step("has only long handlers from now on", |next| next.long_handlers = true);
            }
            return;
        }
        if !turn.state.memory.is_drained(me) {
            turn.step("has its oldest store reach memory", |next| next.memory.flush(me));
        }
        match turn.state.phases[me] {
            Phase::Running => self.run(turn),
            Phase::Published => self.load_word(turn),
            Phase::Publishing { wake } => self.publish_late(wake, turn),
            Phase::Waking => self.begin_wake(turn),
            Phase::WakingLocked => self.wake(turn),
            Phase::Notifying(sleeper) => self.notify(sleeper.into(), turn),
            Phase::BetweenTasks => self.next_task(turn),
            Phase::Searching => self.search(turn),
            Phase::Looking(queue) => self.look(queue, turn),
            Phase::Stealing(queue) => self.begin_steal(queue, turn),
            Phase::StealingUncounted(queue) => self.lock(queue, Phase::FailedUncounted, turn),
            Phase::Locked(queue) => self.steal(queue.into(), turn),
            Phase::FailedUncounted => self.count_as_searching("counts as searching again", turn),
            Phase::Stolen(more) => self.keep_the_rest(more, turn),
            Phase::Found => self.stop_searching(turn),
            Phase::HandingOver => self.begin_barrier(Phase::HandingOverBarrier, turn),
            Phase::HandingOverBarrier => self.end_barrier(Phase::LookingForMore(0), turn),
            Phase::LookingForMore(queue) => self.look_for_more(queue, turn),
            Phase::Registering => self.register(turn),
            Phase::Registered => self.begin_barrier(Phase::RegisteredBarrier, turn),
            Phase::RegisteredBarrier => self.end_barrier(Phase::LookingAgain(0), turn),
            Phase::LookingAgain(queue) => self.look_again(queue, turn),
            Phase::LookingForEnd => self.look_for_end(turn),
            Phase::Unregistering { end } => self.unregister(end, turn),
            Phase::Parked => self.park(turn),
            Phase::Ending => self.store_done(turn),
            Phase::NotifyingAll => self.notify_all(turn),
            Phase::Exited => {}
        }
    }

    fn violation(&self, state: &State<WORKERS>) -> Option<&'static str> {
        if state.phases.contains(&Phase::Exited) && !state.all_finished() {
            Some("a worker has left while a task was unfinished")
        } else if state.searching != state.true_searchers(self.leaves_early()) {
            Some("the word does not count those who search")
        } else {
            None
        }
    }

    fn is_final(&self, state: &State<WORKERS>) -> bool {
        state.phases.iter().all(|&phase| phase == Phase::Exited)
    }
}
