//! Who declares the end when everybody goes to sleep: the last to turn idle must see all the
//! others.
//!
//! # The protocol
//!
//! The end is found by two scans of the epochs ([`end_rule`](super::end_rule)), and nobody keeps on
//! scanning: a worker whose scan fails parks. So the scan of whoever comes last must not fail.
//!
//! 1. A worker without a task turns idle by a plain store of its epoch.
//! 2. While it searches it may turn busy for a moment, for a task that another one gets, and idle
//!    again.
//! 3. It registers as a sleeper, which contains a locked instruction: its epoch is in memory now.
//! 4. Only then it scans the epochs twice. If they are all even and unchanged, it declares the end;
//!    else it parks. It may also see something instead, and go back to 2, and so it may when a busy
//!    worker wakes it.
//!
//! # The property
//!
//! Somebody declares the end: not everybody parks. (Tasks do not occur here: every worker is idle
//! for good once it has stopped searching. That nobody declares too early is the matter of
//! `end_rule`.)
//!
//! # Hazards
//!
//! - **Mutual misreading**: two workers turn idle and scan while both stores are still in their
//!   store buffers. Each sees the other busy, and both park. See [`Variant::ScanWhileBuffered`].
//! - **Seen at a bad moment**: a worker parks because of one that is busy only for a moment (2),
//!   and this one holds that it has scanned already. See [`Variant::ScanOnce`].

use super::checker::{Model, Turn};
use super::store_buffer::Memory;

/// `WORKERS` workers that have all just run out of tasks.
#[derive(Clone, Copy, Debug)]
pub struct LastLook<const WORKERS: usize> {
    /// The protocol, or one of its wrong twins.
    pub variant: Variant,
    /// How often in all a worker turns busy in vain, or is woken in vain.
    pub disturbances: u8,
}

/// The protocol, or what one of its wrong twins does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The rule as it should be.
    ScanRegistered,
    /// Wrong: scans before it registers, when its epoch may still be in its store buffer.
    ScanWhileBuffered,
    /// Wrong: scans only the first time that it has registered.
    ScanOnce,
}

/// What memory, which holds the epochs, and all workers look like between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State<const WORKERS: usize> {
    memory: Memory<WORKERS, WORKERS>,
    workers: [Worker<WORKERS>; WORKERS],
    disturbances: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Worker<const WORKERS: usize> {
    phase: Phase,
    /// The epochs that the first scan has read; zeros at any other time.
    snapshot: [u8; WORKERS],
    /// Whether a scan has failed before.
    has_scanned: bool,
}

/// Where a worker is. A number is the worker whose epoch it reads next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Busy, and about to turn idle.
    OutOfWork,
    /// Idle.
    Searching,
    /// On the list of sleepers.
    Registered,
    ScanningFirst(u8),
    ScanningAgain(u8),
    Parked,
    /// Has declared the end.
    Done,
}

impl<const WORKERS: usize> State<WORKERS> {
    fn enter(&mut self, me: usize, phase: Phase) {
        self.workers[me].phase = phase;
    }

    fn give_up_scan(&mut self, me: usize) {
        self.workers[me].snapshot = [0; WORKERS];
        self.workers[me].has_scanned = true;
        self.enter(me, Phase::Parked);
    }
}

type Steps<'a, const WORKERS: usize> = Turn<'a, State<WORKERS>>;

impl<const WORKERS: usize> LastLook<WORKERS> {
    /// Turns busy in vain. That is a locked instruction, as the take comes after it.
    fn fail_to_steal(turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let state = turn.state;
        if state.disturbances > 0 && state.memory.is_drained(me) {
            turn.step("turns busy, in vain", |next| {
                next.disturbances -= 1;
                next.memory.swap(me, me, state.memory.cell(me) + 1);
                next.enter(me, Phase::OutOfWork);
            });
        }
    }

    /// A busy worker wakes this one, for a task that another one gets.
    fn be_woken(turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let busy = |worker: &Worker<WORKERS>| worker.phase == Phase::OutOfWork;
        if turn.state.disturbances > 0 && turn.state.workers.iter().any(busy) {
            turn.step("is woken in vain", |next| {
                next.disturbances -= 1;
                next.enter(me, Phase::Searching);
            });
        }
    }

    fn turn_idle(turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let epoch = turn.state.memory.load(me, me) + 1;
        turn.step("stores an even epoch", |next| {
            next.memory.store(me, me, epoch);
            next.enter(me, Phase::Searching);
        });
    }

    fn stop_searching(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if self.variant == Variant::ScanWhileBuffered {
            turn.step("begins to scan", |next| next.enter(me, Phase::ScanningFirst(0)));
        } else if turn.state.memory.is_drained(me) {
            turn.step("registers as a sleeper", |next| next.enter(me, Phase::Registered));
        }
    }

    fn begin_scan(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if self.variant == Variant::ScanOnce && turn.state.workers[me].has_scanned {
            turn.step("parks without a scan", |next| next.enter(me, Phase::Parked));
        } else {
            turn.step("begins to scan", |next| next.enter(me, Phase::ScanningFirst(0)));
        }
    }

    fn scan_first(at: usize, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let epoch = turn.state.memory.load(me, at);
        if epoch % 2 == 1 {
            turn.step_on("parks because of busy worker", at, |next| next.give_up_scan(me));
            return;
        }
        let last = at + 1 == WORKERS;
        let then = if last { Phase::ScanningAgain(0) } else { Phase::ScanningFirst(at as u8 + 1) };
        turn.step_on("finds idle worker", at, |next| {
            next.workers[me].snapshot[at] = epoch;
            next.enter(me, then);
        });
    }

    fn scan_again(at: usize, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.memory.load(me, at) != turn.state.workers[me].snapshot[at] {
            turn.step_on("parks because of changed worker", at, |next| next.give_up_scan(me));
            return;
        }
        let last = at + 1 == WORKERS;
        let then = if last { Phase::Done } else { Phase::ScanningAgain(at as u8 + 1) };
        turn.step_on("finds unchanged worker", at, |next| next.enter(me, then));
    }
}

impl<const WORKERS: usize> Model for LastLook<WORKERS> {
    type State = State<WORKERS>;

    /// Every worker has the odd epoch 1.
    fn initial(&self) -> State<WORKERS> {
        let mut memory = Memory::default();
        for worker in 0..WORKERS {
            memory.swap(worker, worker, 1);
        }
        State {
            memory,
            workers: std::array::from_fn(|_| Worker {
                phase: Phase::OutOfWork,
                snapshot: [0; WORKERS],
                has_scanned: false,
            }),
            disturbances: self.disturbances,
        }
    }

    fn actors(&self) -> usize {
        WORKERS
    }

    fn turn(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if !turn.state.memory.is_drained(me) {
            turn.step("has its oldest store reach memory", |next| next.memory.flush(me));
        }
        match turn.state.workers[me].phase {
            Phase::OutOfWork => Self::turn_idle(turn),
            Phase::Searching => {
                Self::fail_to_steal(turn);
                self.stop_searching(turn);
            }
            Phase::Registered => {
                Self::fail_to_steal(turn);
                self.begin_scan(turn);
            }
            Phase::ScanningFirst(at) => Self::scan_first(at.into(), turn),
            Phase::ScanningAgain(at) => Self::scan_again(at.into(), turn),
            Phase::Parked => Self::be_woken(turn),
            Phase::Done => {}
        }
    }

    /// The failure that this model is about is a deadlock.
    fn violation(&self, _: &State<WORKERS>) -> Option<&'static str> {
        None
    }

    fn is_final(&self, state: &State<WORKERS>) -> bool {
        state.workers.iter().any(|worker| worker.phase == Phase::Done)
    }
}
