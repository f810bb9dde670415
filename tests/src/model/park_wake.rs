//! Who sleeps and who wakes whom: the `sleepers | searching` word.
//!
//! # The protocol
//!
//! One word counts the workers that sleep and those that search. A list under a mutex says which ones sleep. Every queue has
//! a plain flag, `visible`, that is 1 while there is something to steal.
//!
//! - **Post**: store the task and `visible = 1`, both plain, then (a compiler fence, no more) load the word. If somebody sleeps and nobody
//!   searches, wake one.
//! - **Wake one**: take the mutex; if somebody searches by now, leave it at that. Else take a sleeper off the list, count it as
//!   searching instead of sleeping, release the mutex, set the sleeper's `notified`, unpark it.
//! - **Search**: a worker without a task counts itself as searching and looks at all queues. Where it sees something, it steals half:
//!   lock the queue, `membarrier`, take. It puts all but the first task into its own queue.
//! - **Hand over**: having found a task, it stops counting as searching. If it was the last to search and somebody sleeps, it calls
//!   `membarrier`, looks at all queues, and wakes one if something is visible.
//! - **Park**: having found nothing, it takes the mutex, clears its `notified`, puts itself on the list, counts as sleeping instead of
//!   searching, and releases the mutex. Then it calls `membarrier` and looks *again*: at the queues, at `done`, at the end of all work. Only if
//!   there is nothing does it park, until it is notified.
//! - **Unregister**: if there was something, it takes itself off the list and goes on searching. If it is no longer on the list,
//!   somebody is waking it: it waits for that notification, which has counted it as searching.
//! - **End**: who sees that all work is finished stores `done` and notifies everybody on the list.
//!
//! # The property
//!
//! Handlers are long here: one ends only when no task waits, or when no worker is left that could take a waiting one. So a task that
//! waits while a worker sleeps on is a deadlock, and the explorer finds it. Everybody must always be able to reach the exit.
//! As a check of the model itself, `searching` must equal the number of workers that search.
//!
//! All workers but the first are asleep in the beginning: a worker never started is a sleeper whose wake-up starts it.
//!
//! # What is one step
//!
//! Queues are changed in one step, as their lock has a model of [its own](super::biased_lock); a thief holds it for two, so that others
//! meet it. What happens under the mutex is one step as far as nothing in it can be seen or disturbed without the mutex; in *wake one* the
//! word can, so that looking at it and changing it are two steps. Whether all work is finished is asked of an oracle: the real answer
//! is the matter of [`end_rule`](super::end_rule).
//!
//! # Hazards
//!
//! - **Post between look and list**: the poster loads the word before the searcher is on the list, the searcher has looked before the
//!   post. See [`Variant::NoSecondLook`], [`Variant::NoBarrierBeforePark`] and [`Variant::WordBeforePublish`].
//! - **One wake for two tasks**: while somebody searches, posts wake nobody; the one who searched takes one task. See
//!   [`Variant::NoHandOver`].
//! - **Post between look and leave**: the same race once more, at the *other* end of a search: the poster still sees a
//!   searcher, who no longer looks. `visible` is in the poster's store buffer, hence the barrier. See
//!   [`Variant::NoBarrierBeforeHandOver`].
//! - **Yesterday's notification**: a waker that has released the mutex and not yet set `notified` may do so much later, when its sleeper has
//!   worked, searched and gone to sleep again: it would wake a worker that counts as sleeping. See
//!   [`Variant::NotificationLeftBehind`].

use super::checker::{Model, Turn};
use super::store_buffer::Memory;

/// The protocol with `WORKERS` workers, at most [`MOST_WORKERS`].
#[derive(Clone, Copy, Debug)]
pub struct ParkWake<const WORKERS: usize> {
    /// The protocol, another sound form of it, or one of its wrong twins.
    pub variant: Variant,
    /// How many tasks all handlers together may post, on top of the one that worker 0 runs in the beginning.
    pub budget: u8,
}

/// The largest number of workers that fits the model's memory.
pub const MOST_WORKERS: usize = 3;

/// The protocol, or what another form of it does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The protocol as it is written above.
    Plain,
    /// As sound, one `membarrier` cheaper: a searcher stops counting as searching *before* it steals, so that the barrier of
    /// the steal is also the one of the hand-over. If the steal fails, it counts as searching again.
    LeaveBeforeSteal,
    /// As sound, without the barrier and the look of the hand-over: the last searcher wakes the next whenever somebody sleeps.
    HandOverUnseen,
    /// As sound, without waiting in *unregister*: `notified` is set before the mutex is released.
    NotifiedUnderMutex,
    /// Wrong: between registering and parking, only the end is looked at.
    NoSecondLook,
    /// Wrong: no barrier between registering and the second look.
    NoBarrierBeforePark,
    /// Wrong: the searcher that finds a task does not look for more.
    NoHandOver,
    /// Wrong: no barrier between counting down and the look of the hand-over.
    NoBarrierBeforeHandOver,
    /// Wrong: the poster loads the word first, then publishes.
    WordBeforePublish,
    /// Wrong: a worker that finds itself off the list does not wait for the notification.
    NotificationLeftBehind,
}

/// The cells of memory: `visible` of every worker's queue, then `notified` of every worker.
const CELLS: usize = 2 * MOST_WORKERS;

const fn visible(queue: usize) -> usize {
    queue
}

const fn notified(worker: usize) -> usize {
    MOST_WORKERS + worker
}

/// What memory and all workers look like between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State<const WORKERS: usize> {
    memory: Memory<CELLS, WORKERS>,
    phases: [Phase; WORKERS],
    /// How many tasks each queue holds.
    queues: [u8; WORKERS],
    /// The queues that a thief has locked, a bit each.
    locked: u8,
    /// The workers on the list of sleepers, a bit each. The word's `sleepers` is their number.
    list: u8,
    /// Whether a waker holds the mutex of the list.
    mutex: bool,
    /// The other half of the word.
    searching: u8,
    budget: u8,
    done: bool,
    /// Whether all handlers are long from now on.
    long_handlers: bool,
}

/// Where a worker is. A number is the queue or worker that it deals with next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// In a handler.
    Running,
    /// In a handler that has just published a task.
    Published,
    /// Only in a wrong twin: about to publish, having decided whether to wake somebody.
    Publishing { wake: bool },
    /// In a handler, or about to begin one: wakes somebody, if nobody searches.
    Waking,
    /// Holds the mutex, and has seen that nobody searches.
    WakingLocked,
    /// About to notify a worker.
    Notifying(u8),
    /// Between two tasks.
    Next,
    /// Searches: looks at `done`.
    Search,
    /// Searches: looks at a queue.
    Looking(u8),
    /// Searches, and has seen something in a queue.
    Stealing(u8),
    /// Only if one leaves before stealing: no longer counts as searching.
    StealingUncounted(u8),
    /// Has locked a queue, and is in its barrier.
    Locked(u8),
    /// Only if one leaves before stealing: has found nothing, and does not count as searching.
    Uncounted,
    /// Holds a task, and so many more on the way to its own queue.
    Stolen(u8),
    /// Holds a task, and still counts as searching.
    Found,
    /// Holds a task, was the last to search, and is about to look for more.
    HandingOver,
    /// The same, in the barrier.
    HandingOverBarrier,
    /// The same, looking at a queue.
    HandingOverLook(u8),
    /// Has seen nothing, and is about to register.
    Registering,
    /// Is on the list.
    Registered,
    /// The same, in the barrier.
    RegisteredBarrier,
    /// The same, looking at a queue.
    LookingAgain(u8),
    /// The same, looking at `done` and at the end.
    LookingForEnd,
    /// About to take itself off the list.
    Unregistering,
    /// Asleep, or waiting for the notification that is on its way.
    Parked,
    /// The same, having seen the end.
    UnregisteringAtEnd,
    /// Has seen the end, and is off the list.
    Ending,
    /// Has stored `done`, and is about to notify everybody.
    NotifyingAll,
    /// Has left.
    Exited,
}

impl Phase {
    /// Whether the worker has a task, which makes it unfinished.
    fn holds_task(self) -> bool {
        self.is_in_handler()
            || matches!(
                self,
                Phase::Stolen(_)
                    | Phase::Found
                    | Phase::HandingOver
                    | Phase::HandingOverBarrier
                    | Phase::HandingOverLook(_)
            )
    }

    /// Whether the worker is in a handler, or on a way that leads into one whatever the others do.
    fn is_in_handler(self) -> bool {
        matches!(
            self,
            Phase::Running
                | Phase::Published
                | Phase::Publishing { .. }
                | Phase::Waking
                | Phase::WakingLocked
                | Phase::Notifying(_)
        )
    }

    /// Whether a worker in this phase counts as searching.
    fn searches(self, leaves_early: bool) -> bool {
        match self {
            Phase::Search | Phase::Looking(_) | Phase::Stealing(_) | Phase::Registering => true,
            Phase::Ending | Phase::NotifyingAll => true,
            Phase::Locked(_) | Phase::Stolen(_) | Phase::Found => !leaves_early,
            _ => false,
        }
    }

    /// Whether a worker in this phase is on the list, or was put on the account of the searchers by whoever took it off.
    fn sleeps(self) -> bool {
        matches!(
            self,
            Phase::Registered
                | Phase::RegisteredBarrier
                | Phase::LookingAgain(_)
                | Phase::LookingForEnd
                | Phase::Unregistering
                | Phase::UnregisteringAtEnd
                | Phase::Parked
        )
    }
}

const fn bit(number: usize) -> u8 {
    1 << number
}

impl<const WORKERS: usize> State<WORKERS> {
    fn enter(&mut self, me: usize, phase: Phase) {
        self.phases[me] = phase;
    }

    fn sleepers(&self) -> u32 {
        self.list.count_ones()
    }

    fn is_listed(&self, worker: usize) -> bool {
        self.list & bit(worker) != 0
    }

    fn is_locked(&self, queue: usize) -> bool {
        self.locked & bit(queue) != 0
    }

    /// Whether the word says that a poster should wake somebody.
    fn wants_wake(&self) -> bool {
        self.sleepers() > 0 && self.searching == 0
    }

    /// Whether `me` could take the mutex, which is a locked instruction.
    fn can_lock(&self, me: usize) -> bool {
        !self.mutex && self.memory.is_drained(me)
    }

    fn queued(&self) -> u8 {
        self.queues.iter().sum()
    }

    /// The oracle.
    fn all_finished(&self) -> bool {
        self.queued() == 0 && !self.phases.iter().any(|phase| phase.holds_task())
    }

    /// Whether a handler may end. A long one insists that, as long as a task waits and a worker has nothing to do, these two meet.
    fn handler_may_end(&self) -> bool {
        !self.long_handlers
            || self.queued() == 0
            || self.phases.iter().all(|phase| phase.is_in_handler())
    }

    /// The owner puts tasks into its queue; only the first one changes `visible`.
    fn push(&mut self, me: usize, tasks: u8) {
        if tasks > 0 && self.queues[me] == 0 {
            self.memory.store(me, visible(me), 1);
        }
        self.queues[me] += tasks;
    }

    /// The owner takes a task out of its queue.
    fn pop(&mut self, me: usize) {
        self.queues[me] -= 1;
        if self.queues[me] == 0 {
            self.memory.store(me, visible(me), 0);
        }
    }

    /// A thief takes half of a queue and unlocks it; returns how many tasks it got.
    ///
    /// Its stores go straight to memory: until they were there, the owner and other thieves would find the queue locked, as they do
    /// when this step comes later.
    fn steal_half(&mut self, me: usize, queue: usize) -> u8 {
        let half = self.queues[queue].div_ceil(2);
        self.queues[queue] -= half;
        self.memory.swap(me, visible(queue), u8::from(self.queues[queue] > 0));
        self.locked &= !bit(queue);
        half
    }

    /// Moves `worker` from the list to the searchers: one change of the word.
    fn unlist(&mut self, worker: usize) {
        self.list &= !bit(worker);
        self.searching += 1;
    }
}

type Steps<'a, const WORKERS: usize> = Turn<'a, State<WORKERS>>;

impl<const WORKERS: usize> ParkWake<WORKERS> {
    /// In a handler: it may post, and it may end.
    fn run(&self, state: &State<WORKERS>, me: usize, turn: &mut Steps<'_, WORKERS>) {
        if state.handler_may_end() {
            turn.step("finishes its task", |next| next.enter(me, Phase::Next));
        }
        if state.budget == 0 {
            return;
        }
        if self.variant == Variant::WordBeforePublish {
            let wake = state.wants_wake();
            turn.step("loads the word before a post", |next| {
                next.budget -= 1;
                next.enter(me, Phase::Publishing { wake });
            });
        } else {
            publish(state, me, 1, Phase::Published, turn);
        }
    }

    /// *Wake one*, as far as the mutex reaches.
    fn wake(&self, state: &State<WORKERS>, me: usize, turn: &mut Steps<'_, WORKERS>) {
        for sleeper in (0..WORKERS).filter(|&worker| state.is_listed(worker)) {
            turn.step_on("takes off the list worker", sleeper, |next| {
                next.unlist(sleeper);
                next.mutex = false;
                if self.variant == Variant::NotifiedUnderMutex {
                    next.memory.swap(me, notified(sleeper), 1);
                    next.enter(me, Phase::Running);
                } else {
                    next.enter(me, Phase::Notifying(sleeper as u8));
                }
            });
        }
        if state.sleepers() == 0 {
            turn.step("finds nobody on the list", |next| {
                next.mutex = false;
                next.enter(me, Phase::Running);
            });
        }
    }

    /// *Search*: the look at one queue.
    fn look(&self, state: &State<WORKERS>, me: usize, at: u8, turn: &mut Steps<'_, WORKERS>) {
        let queue = usize::from(at);
        if queue == WORKERS {
            turn.step("has seen nothing", |next| next.enter(me, Phase::Registering));
        } else if queue != me && state.memory.load(me, visible(queue)) == 1 {
            turn.step_on("sees something in queue", queue, |next| {
                next.enter(me, Phase::Stealing(at))
            });
        } else {
            turn.step_on("sees nothing in queue", queue, |next| {
                next.enter(me, Phase::Looking(at + 1))
            });
        }
    }

    /// *Search*: locks a queue, or finds it locked. A failed attempt leads to `otherwise`.
    fn lock(
        &self,
        state: &State<WORKERS>,
        me: usize,
        at: u8,
        otherwise: Phase,
        turn: &mut Steps<'_, WORKERS>,
    ) {
        let queue = usize::from(at);
        if !state.memory.is_drained(me) {
            return;
        }
        if state.is_locked(queue) {
            turn.step_on("finds a thief at queue", queue, |next| next.enter(me, otherwise));
        } else {
            turn.step_on("locks, and calls membarrier for, queue", queue, |next| {
                next.locked |= bit(queue);
                next.memory.begin_barrier(me);
                next.enter(me, Phase::Locked(at));
            });
        }
    }

    /// *Search*: takes half of a locked queue.
    fn steal(
        &self,
        state: &State<WORKERS>,
        me: usize,
        queue: usize,
        turn: &mut Steps<'_, WORKERS>,
    ) {
        if !state.memory.barrier_passed(me) {
            return;
        }
        let nothing = if self.leaves_early() { Phase::Uncounted } else { Phase::Search };
        turn.step_on("takes half of queue", queue, |next| {
            let then = match next.steal_half(me, queue) {
                0 => nothing,
                tasks => Phase::Stolen(tasks - 1),
            };
            next.enter(me, then);
        });
    }

    /// *Hand over*: stops counting as searching.
    fn stop_searching(&self, state: &State<WORKERS>, me: usize, turn: &mut Steps<'_, WORKERS>) {
        if self.leaves_early() {
            let then = if state.wants_wake() { Phase::HandingOverLook(0) } else { Phase::Running };
            turn.step("loads the word", |next| next.enter(me, then));
        } else if state.memory.is_drained(me) {
            let last = state.searching == 1 && state.sleepers() > 0;
            let then = match self.variant {
                _ if !last => Phase::Running,
                Variant::NoHandOver => Phase::Running,
                Variant::HandOverUnseen => Phase::Waking,
                Variant::NoBarrierBeforeHandOver => Phase::HandingOverLook(0),
                _ => Phase::HandingOver,
            };
            turn.step("no longer searches", |next| {
                next.searching -= 1;
                next.enter(me, then);
            });
        }
    }

    /// *Hand over*: the look at one queue, its own included.
    fn look_for_more(
        &self,
        state: &State<WORKERS>,
        me: usize,
        at: u8,
        turn: &mut Steps<'_, WORKERS>,
    ) {
        let queue = usize::from(at);
        if queue == WORKERS {
            turn.step("has nothing to hand over", |next| next.enter(me, Phase::Running));
        } else if state.memory.load(me, visible(queue)) == 1 {
            turn.step_on("could hand over from queue", queue, |next| next.enter(me, Phase::Waking));
        } else {
            let then = Phase::HandingOverLook(at + 1);
            turn.step_on("sees nothing to hand over in queue", queue, |next| next.enter(me, then));
        }
    }

    /// *Park*: puts itself on the list.
    fn register(&self, state: &State<WORKERS>, me: usize, turn: &mut Steps<'_, WORKERS>) {
        if !state.can_lock(me) {
            return;
        }
        let then = match self.variant {
            Variant::NoSecondLook => Phase::LookingForEnd,
            Variant::NoBarrierBeforePark => Phase::LookingAgain(0),
            _ => Phase::Registered,
        };
        turn.step("registers as a sleeper", |next| {
            next.memory.swap(me, notified(me), 0);
            next.list |= bit(me);
            next.searching -= 1;
            next.enter(me, then);
        });
    }

    /// *Park*: the second look at one queue.
    fn look_again(&self, state: &State<WORKERS>, me: usize, at: u8, turn: &mut Steps<'_, WORKERS>) {
        let queue = usize::from(at);
        if queue == WORKERS {
            turn.step("sees nothing again", |next| next.enter(me, Phase::LookingForEnd));
        } else if queue != me && state.memory.load(me, visible(queue)) == 1 {
            turn.step_on("sees, in time, something in queue", queue, |next| {
                next.enter(me, Phase::Unregistering)
            });
        } else {
            turn.step_on("sees nothing again in queue", queue, |next| {
                next.enter(me, Phase::LookingAgain(at + 1))
            });
        }
    }

    fn look_for_end(&self, state: &State<WORKERS>, me: usize, turn: &mut Steps<'_, WORKERS>) {
        if state.done {
            turn.step("sees done", |next| next.enter(me, Phase::Unregistering));
        } else if state.all_finished() {
            turn.step("sees the end", |next| next.enter(me, Phase::UnregisteringAtEnd));
        } else {
            turn.step("parks", |next| next.enter(me, Phase::Parked));
        }
    }

    /// *Unregister*.
    fn unregister(
        &self,
        state: &State<WORKERS>,
        me: usize,
        then: Phase,
        turn: &mut Steps<'_, WORKERS>,
    ) {
        let waits =
            !matches!(self.variant, Variant::NotifiedUnderMutex | Variant::NotificationLeftBehind);
        if !state.can_lock(me) {
            return;
        }
        if state.is_listed(me) {
            turn.step("takes itself off the list", |next| {
                next.unlist(me);
                next.enter(me, then);
            });
        } else if waits {
            turn.step("is off the list, awaits the notification", |next| {
                next.enter(me, Phase::Parked)
            });
        } else {
            turn.step("is off the list, searches", |next| next.enter(me, Phase::Search));
        }
    }

    fn leaves_early(&self) -> bool {
        self.variant == Variant::LeaveBeforeSteal
    }
}

/// *Post*: the task and `visible`.
fn publish<const WORKERS: usize>(
    state: &State<WORKERS>,
    me: usize,
    cost: u8,
    then: Phase,
    turn: &mut Steps<'_, WORKERS>,
) {
    if !state.is_locked(me) {
        turn.step("posts a task", |next| {
            next.budget -= cost;
            next.push(me, 1);
            next.enter(me, then);
        });
    }
}

/// *Post*: the load of the word.
fn load_word<const WORKERS: usize>(
    state: &State<WORKERS>,
    me: usize,
    turn: &mut Steps<'_, WORKERS>,
) {
    let wake = state.wants_wake();
    let verb = if wake {
        "loads the word: somebody must be woken"
    } else {
        "loads the word: nobody need be woken"
    };
    turn.step(verb, |next| next.enter(me, if wake { Phase::Waking } else { Phase::Running }));
}

/// *Wake one*: takes the mutex, and lets go of it if somebody searches.
fn begin_wake<const WORKERS: usize>(
    state: &State<WORKERS>,
    me: usize,
    turn: &mut Steps<'_, WORKERS>,
) {
    if !state.can_lock(me) {
        return;
    }
    if state.searching > 0 {
        turn.step("wakes nobody, as somebody searches", |next| next.enter(me, Phase::Running));
    } else {
        turn.step("takes the mutex", |next| {
            next.mutex = true;
            next.enter(me, Phase::WakingLocked);
        });
    }
}

/// Takes the next task of its own, or begins to search.
fn next_task<const WORKERS: usize>(
    state: &State<WORKERS>,
    me: usize,
    turn: &mut Steps<'_, WORKERS>,
) {
    if state.is_locked(me) {
        return;
    }
    if state.queues[me] > 0 {
        turn.step("pops a task of its own", |next| {
            next.pop(me);
            next.enter(me, Phase::Running);
        });
    } else {
        count_as_searching(state, me, "has no task, searches", turn);
    }
}

fn count_as_searching<const WORKERS: usize>(
    state: &State<WORKERS>,
    me: usize,
    verb: &'static str,
    turn: &mut Steps<'_, WORKERS>,
) {
    if state.memory.is_drained(me) {
        turn.step(verb, |next| {
            next.searching += 1;
            next.enter(me, Phase::Search);
        });
    }
}

/// Calls `membarrier`, when its own stores are in memory.
fn begin_barrier<const WORKERS: usize>(
    state: &State<WORKERS>,
    me: usize,
    then: Phase,
    turn: &mut Steps<'_, WORKERS>,
) {
    if state.memory.is_drained(me) {
        turn.step("calls membarrier", |next| {
            next.memory.begin_barrier(me);
            next.enter(me, then);
        });
    }
}

/// Returns from `membarrier`.
fn end_barrier<const WORKERS: usize>(
    state: &State<WORKERS>,
    me: usize,
    then: Phase,
    turn: &mut Steps<'_, WORKERS>,
) {
    if state.memory.barrier_passed(me) {
        turn.step("returns from membarrier", |next| next.enter(me, then));
    }
}

/// Notifies everybody on the list, and leaves.
fn notify_all<const WORKERS: usize>(
    state: &State<WORKERS>,
    me: usize,
    turn: &mut Steps<'_, WORKERS>,
) {
    if state.can_lock(me) {
        turn.step("notifies everybody, leaves", |next| {
            for worker in (0..WORKERS).filter(|&worker| state.is_listed(worker)) {
                next.unlist(worker);
                next.memory.store(me, notified(worker), 1);
            }
            next.searching -= 1;
            next.enter(me, Phase::Exited);
        });
    }
}

impl<const WORKERS: usize> Model for ParkWake<WORKERS> {
    type State = State<WORKERS>;

    /// Worker 0 runs the first task, the others sleep.
    fn initial(&self) -> State<WORKERS> {
        assert!(
            WORKERS <= MOST_WORKERS,
            "the cells of memory are laid out for {MOST_WORKERS} workers"
        );
        let mut phases = [Phase::Parked; WORKERS];
        phases[0] = Phase::Running;
        State {
            memory: Memory::default(),
            phases,
            queues: [0; WORKERS],
            locked: 0,
            list: (1..WORKERS).map(bit).sum(),
            mutex: false,
            searching: 0,
            budget: self.budget,
            done: false,
            long_handlers: false,
        }
    }

    /// The workers, and the user who wrote the handlers.
    fn actors(&self) -> usize {
        WORKERS + 1
    }

    fn turn(&self, state: &State<WORKERS>, me: usize, turn: &mut Steps<'_, WORKERS>) {
        if me == WORKERS {
            if !state.long_handlers {
                turn.step("has only long handlers from now on", |next| next.long_handlers = true);
            }
            return;
        }
        if !state.memory.is_drained(me) {
            turn.step("'s oldest store reaches memory", |next| next.memory.flush(me));
        }
        match state.phases[me] {
            Phase::Running => self.run(state, me, turn),
            Phase::Published => load_word(state, me, turn),
            Phase::Publishing { wake } => {
                publish(state, me, 0, if wake { Phase::Waking } else { Phase::Running }, turn);
            }
            Phase::Waking => begin_wake(state, me, turn),
            Phase::WakingLocked => self.wake(state, me, turn),
            Phase::Notifying(sleeper) => turn.step_on("notifies worker", sleeper.into(), |next| {
                next.memory.store(me, notified(sleeper.into()), 1);
                next.enter(me, Phase::Running);
            }),
            Phase::Next => next_task(state, me, turn),
            Phase::Search if state.done => turn.step("sees done, leaves", |next| {
                next.searching -= 1;
                next.enter(me, Phase::Exited);
            }),
            Phase::Search => turn.step("begins to look", |next| next.enter(me, Phase::Looking(0))),
            Phase::Looking(at) => self.look(state, me, at, turn),
            Phase::Stealing(at) if self.leaves_early() => {
                if state.memory.is_drained(me) {
                    turn.step("no longer searches", |next| {
                        next.searching -= 1;
                        next.enter(me, Phase::StealingUncounted(at));
                    });
                }
            }
            Phase::Stealing(at) => self.lock(state, me, at, Phase::Search, turn),
            Phase::StealingUncounted(at) => self.lock(state, me, at, Phase::Uncounted, turn),
            Phase::Locked(at) => self.steal(state, me, at.into(), turn),
            Phase::Uncounted => {
                count_as_searching(state, me, "found nothing, searches again", turn)
            }
            Phase::Stolen(_) if state.is_locked(me) => {}
            Phase::Stolen(more) => turn.step("puts the rest into its own queue", |next| {
                next.push(me, more);
                next.enter(me, Phase::Found);
            }),
            Phase::Found => self.stop_searching(state, me, turn),
            Phase::HandingOver => begin_barrier(state, me, Phase::HandingOverBarrier, turn),
            Phase::HandingOverBarrier => end_barrier(state, me, Phase::HandingOverLook(0), turn),
            Phase::HandingOverLook(at) => self.look_for_more(state, me, at, turn),
            Phase::Registering => self.register(state, me, turn),
            Phase::Registered => begin_barrier(state, me, Phase::RegisteredBarrier, turn),
            Phase::RegisteredBarrier => end_barrier(state, me, Phase::LookingAgain(0), turn),
            Phase::LookingAgain(at) => self.look_again(state, me, at, turn),
            Phase::LookingForEnd => self.look_for_end(state, me, turn),
            Phase::Unregistering => self.unregister(state, me, Phase::Search, turn),
            Phase::UnregisteringAtEnd => self.unregister(state, me, Phase::Ending, turn),
            Phase::Parked if state.memory.load(me, notified(me)) == 0 => {}
            Phase::Parked => turn
                .step("sees that it is notified, searches", |next| next.enter(me, Phase::Search)),
            Phase::Ending => turn.step("stores done", |next| {
                next.done = true;
                next.enter(me, Phase::NotifyingAll);
            }),
            Phase::NotifyingAll => notify_all(state, me, turn),
            Phase::Exited => {}
        }
    }

    fn violation(&self, state: &State<WORKERS>) -> Option<&'static str> {
        let counts = |worker: &usize| {
            let phase = state.phases[*worker];
            phase.searches(self.leaves_early()) || phase.sleeps() && !state.is_listed(*worker)
        };
        let searching = (0..WORKERS).filter(counts).count();
        if state.phases.contains(&Phase::Exited) && !state.all_finished() {
            Some("a worker has left while tasks were unfinished")
        } else if usize::from(state.searching) != searching {
            Some("the word does not count those who search")
        } else {
            None
        }
    }

    fn is_final(&self, state: &State<WORKERS>) -> bool {
        state.phases.iter().all(|&phase| phase == Phase::Exited)
    }
}
