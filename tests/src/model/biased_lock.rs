//! The biased lock: an owner who enters with plain stores, and thieves who pay for both.
//!
//! # The protocol
//!
//! Two flags guard a queue: `own`, written by the owner only, and `want`, which thieves compete
//! for.
//!
//! The owner:
//!
//! 1. stores `own = 1` and, with nothing but a compiler fence between, loads `want`;
//! 2. if that is 0, it is inside; it leaves with `own = 0`;
//! 3. else it steps back (`own = 0`), waits until it sees `want == 0`, and begins again at 1.
//!
//! A thief:
//!
//! 1. swaps `want` to 1; if it was 1, another thief is at it, and this one gives up;
//! 2. calls `membarrier`;
//! 3. waits until it sees `own == 0`, or gives up (`want = 0`) if that takes long;
//! 4. is inside; it leaves with `want = 0`.
//!
//! # Why it holds
//!
//! `membarrier` makes the owner execute a fence somewhere in its program, after the thief's swap.
//! If `own = 1` is before that fence, it is in memory when the thief looks, and the thief waits. If
//! it is behind, so is the owner's load of `want`, which finds the 1 that the thief has swapped in.
//! Either way one of the two sees the other.
//!
//! # The property
//!
//! Never two inside. Everyone inside reads a shared counter and stores it plus one, by a plain
//! store, as a queue would be changed: in the end the counter equals the number of visits. And
//! everybody always can get to the end of their rounds.
//!
//! # Hazards
//!
//! - **Late `own`**: the owner is inside while its `own = 1` is still in its store buffer, and the
//!   thief reads 0. See [`Variant::NoBarrier`]; [`Variant::LookBeforeOwn`] does the same without
//!   any store buffer.
//! - **Two thieves**: a `want` that is read and then stored can be won twice. See
//!   [`Variant::PlainClaim`].
//! - **Next thief**: when the owner has seen `want == 0` and stores `own = 1`, the next thief may
//!   already have looked. See [`Variant::NoSecondLook`].
//! - **Early leave**: an `own = 0` that overtakes the last change of the queue lets a thief in on
//!   half a change. It is a `Release` store to forbid that. See [`Variant::RelaxedLeave`].

use super::checker::{Model, Turn};
use super::store_buffer::Memory;

/// The lock with one owner (thread 0) and `THREADS - 1` thieves.
#[derive(Clone, Copy, Debug)]
pub struct BiasedLock<const THREADS: usize> {
    /// The protocol, another sound form of it, or one of its wrong twins.
    pub variant: Variant,
    /// How often the owner wants to be inside.
    pub owner_rounds: u8,
    /// How often each thief tries to be inside.
    pub thief_rounds: u8,
    /// Whether a thief waits for the owner as long as it takes. Else it may give up at any time.
    pub patient: bool,
}

/// The protocol, or what another form of it does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The lock as it should be: a compiler fence for the owner, `membarrier` for the thief.
    Membarrier,
    /// As sound, and slower: both execute a fence.
    Fences,
    /// Wrong: a compiler fence for the owner, and no barrier for the thief.
    NoBarrier,
    /// Wrong: the thief loads `want`, and stores 1 if it was 0.
    PlainClaim,
    /// Wrong: an owner that has waited enters without looking at `want` again.
    NoSecondLook,
    /// Wrong: the owner looks at `want` before it stores `own`.
    LookBeforeOwn,
    /// Wrong: the owner's `own = 0` overtakes the change before it.
    RelaxedLeave,
}

const OWNER: usize = 0;

const OWN: usize = 0;
const WANT: usize = 1;
const COUNTER: usize = 2;

/// What memory and all threads look like between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State<const THREADS: usize> {
    memory: Memory<3, THREADS>,
    threads: [Thread; THREADS],
    /// How many changes were made inside, whatever the counter says.
    visits: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Thread {
    phase: Phase,
    /// How many rounds are left, the present one included.
    rounds: u8,
}

/// Where a thread is in its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Outside, before the next round.
    Rest,
    /// Owner: has stored `own`.
    Announced,
    /// Owner: has seen a thief.
    SteppingBack,
    /// Owner: waits for `want` to fall.
    Waiting,
    /// Owner, only in wrong twins: has decided to enter, and has yet to store `own`.
    Unannounced,
    /// Thief, only in a wrong twin: has decided to claim, and has yet to store `want`.
    Unclaimed,
    /// Thief: has claimed `want`.
    Claimed,
    /// Thief: is in its barrier.
    InBarrier,
    /// Thief: waits for `own` to fall.
    Watching,
    /// Inside, before the change.
    Inside,
    /// Inside, having read this from the counter.
    Changing(u8),
    /// Inside, after the change.
    Leaving,
    /// Owner, only in a wrong twin: has opened the door before the change.
    LeftEarly(u8),
}

impl Phase {
    fn is_inside(self) -> bool {
        matches!(self, Phase::Inside | Phase::Changing(_) | Phase::Leaving | Phase::LeftEarly(_))
    }
}

impl<const THREADS: usize> State<THREADS> {
    fn enter(&mut self, me: usize, phase: Phase) {
        self.threads[me].phase = phase;
    }

    /// A plain store, and on to the next phase.
    fn store(&mut self, me: usize, cell: usize, value: u8, then: Phase) {
        self.memory.store(me, cell, value);
        self.enter(me, then);
    }

    /// Changes the counter that was read as `count`.
    fn change(&mut self, me: usize, count: u8, then: Phase) {
        self.visits += 1;
        self.store(me, COUNTER, count + 1, then);
    }

    fn end_round(&mut self, me: usize) {
        self.threads[me].rounds -= 1;
        self.enter(me, Phase::Rest);
    }

    fn all_at_rest(&self) -> bool {
        let rests = |thread: &Thread| thread.phase == Phase::Rest && thread.rounds == 0;
        self.threads.iter().all(rests) && self.memory.is_quiet()
    }
}

type Steps<'a, const THREADS: usize> = Turn<'a, State<THREADS>>;

impl<const THREADS: usize> BiasedLock<THREADS> {
    fn owner(&self, phase: Phase, turn: &mut Steps<'_, THREADS>) {
        match phase {
            Phase::Rest if self.variant == Variant::LookBeforeOwn => self.look_early(turn),
            Phase::Rest => turn.step("stores own = 1", |next| {
                next.store(OWNER, OWN, 1, Phase::Announced);
            }),
            Phase::Announced => self.look(turn),
            Phase::SteppingBack => turn.step("steps back, stores own = 0", |next| {
                next.store(OWNER, OWN, 0, Phase::Waiting);
            }),
            Phase::Waiting => self.wait(turn),
            Phase::Unannounced => turn.step("stores own = 1, enters", |next| {
                next.store(OWNER, OWN, 1, Phase::Inside);
            }),
            inside => self.visit(inside, turn),
        }
    }

    /// The owner's look at `want` that decides (its steps 1 to 3).
    fn look(&self, turn: &mut Steps<'_, THREADS>) {
        let memory = &turn.state.memory;
        let fenced = self.variant == Variant::Fences;
        if fenced && !memory.is_drained(OWNER) {
            return;
        }
        if memory.load(OWNER, WANT) == 0 {
            turn.step("sees want == 0, enters", |next| next.enter(OWNER, Phase::Inside));
        } else {
            turn.step("sees want == 1", |next| next.enter(OWNER, Phase::SteppingBack));
        }
    }

    /// The wrong twin's look, before it has stored `own`.
    fn look_early(&self, turn: &mut Steps<'_, THREADS>) {
        if turn.state.memory.load(OWNER, WANT) == 0 {
            turn.step("sees want == 0", |next| next.enter(OWNER, Phase::Unannounced));
        }
    }

    /// The owner waits for the thief to leave (its step 3).
    fn wait(&self, turn: &mut Steps<'_, THREADS>) {
        if turn.state.memory.load(OWNER, WANT) == 0 {
            let hasty = self.variant == Variant::NoSecondLook;
            let then = if hasty { Phase::Unannounced } else { Phase::Rest };
            turn.step("sees want fall", |next| next.enter(OWNER, then));
        }
    }

    fn thief(&self, phase: Phase, turn: &mut Steps<'_, THREADS>) {
        let me = turn.actor;
        match phase {
            Phase::Rest => self.claim(turn),
            Phase::Unclaimed => turn.step("stores want = 1", |next| {
                next.store(me, WANT, 1, Phase::Claimed);
            }),
            Phase::Claimed => self.begin_barrier(turn),
            Phase::InBarrier => {
                if turn.state.memory.barrier_passed(me) {
                    turn.step("returns from membarrier", |next| next.enter(me, Phase::Watching));
                }
            }
            Phase::Watching => self.watch(turn),
            inside => self.visit(inside, turn),
        }
    }

    /// Step 1 of a thief. The load before the swap saves a locked instruction, and changes nothing.
    fn claim(&self, turn: &mut Steps<'_, THREADS>) {
        let me = turn.actor;
        let memory = &turn.state.memory;
        if memory.load(me, WANT) == 1 {
            turn.step("sees another thief, gives up", |next| next.end_round(me));
        } else if self.variant == Variant::PlainClaim {
            turn.step("sees want == 0", |next| next.enter(me, Phase::Unclaimed));
        } else if memory.is_drained(me) {
            turn.step("swaps want to 1", |next| {
                next.memory.swap(me, WANT, 1);
                next.enter(me, Phase::Claimed);
            });
        }
    }

    /// Step 2 of a thief.
    fn begin_barrier(&self, turn: &mut Steps<'_, THREADS>) {
        let me = turn.actor;
        if self.variant == Variant::NoBarrier {
            turn.step("calls no barrier", |next| next.enter(me, Phase::Watching));
        } else if !turn.state.memory.is_drained(me) {
            // Both a fence and membarrier wait for the thief's own stores.
        } else if self.variant == Variant::Fences {
            turn.step("executes a fence", |next| next.enter(me, Phase::Watching));
        } else {
            turn.step("calls membarrier", |next| {
                next.memory.begin_barrier(me);
                next.enter(me, Phase::InBarrier);
            });
        }
    }

    /// Step 3 of a thief: in, or away.
    fn watch(&self, turn: &mut Steps<'_, THREADS>) {
        let me = turn.actor;
        if turn.state.memory.load(me, OWN) == 0 {
            turn.step("sees own == 0, enters", |next| next.enter(me, Phase::Inside));
        }
        if !self.patient {
            turn.step("gives up, stores want = 0", |next| {
                next.memory.store(me, WANT, 0);
                next.end_round(me);
            });
        }
    }

    /// What everybody does inside, and how they leave.
    fn visit(&self, phase: Phase, turn: &mut Steps<'_, THREADS>) {
        let me = turn.actor;
        let flag = if me == OWNER { OWN } else { WANT };
        let leaves_early = self.variant == Variant::RelaxedLeave && me == OWNER;
        match phase {
            Phase::Inside => {
                let count = turn.state.memory.load(me, COUNTER);
                turn.step("reads the counter", |next| next.enter(me, Phase::Changing(count)));
            }
            Phase::Changing(count) if leaves_early => turn.step("leaves too early", |next| {
                next.store(me, flag, 0, Phase::LeftEarly(count));
            }),
            Phase::Changing(count) => turn.step("changes the counter", |next| {
                next.change(me, count, Phase::Leaving);
            }),
            Phase::Leaving => turn.step("leaves", |next| {
                next.memory.store(me, flag, 0);
                next.end_round(me);
            }),
            Phase::LeftEarly(count) => turn.step("changes the counter, too late", |next| {
                next.change(me, count, Phase::Rest);
                next.end_round(me);
            }),
            outside => unreachable!("the owner and the thief handle {outside:?} themselves"),
        }
    }
}

impl<const THREADS: usize> Model for BiasedLock<THREADS> {
    type State = State<THREADS>;

    fn initial(&self) -> State<THREADS> {
        let thread = |me| Thread {
            phase: Phase::Rest,
            rounds: if me == OWNER { self.owner_rounds } else { self.thief_rounds },
        };
        State { memory: Memory::default(), threads: std::array::from_fn(thread), visits: 0 }
    }

    fn actors(&self) -> usize {
        THREADS
    }

    fn turn(&self, turn: &mut Steps<'_, THREADS>) {
        let me = turn.actor;
        if !turn.state.memory.is_drained(me) {
            turn.step("has its oldest store reach memory", |next| next.memory.flush(me));
        }
        let Thread { phase, rounds } = turn.state.threads[me];
        match phase {
            Phase::Rest if rounds == 0 => {}
            phase if me == OWNER => self.owner(phase, turn),
            phase => self.thief(phase, turn),
        }
    }

    fn violation(&self, state: &State<THREADS>) -> Option<&'static str> {
        let inside = state.threads.iter().filter(|thread| thread.phase.is_inside()).count();
        if inside > 1 {
            Some("two threads are inside")
        } else if state.all_at_rest() && state.memory.cell(COUNTER) != state.visits {
            Some("a change was lost")
        } else {
            None
        }
    }

    fn is_final(&self, state: &State<THREADS>) -> bool {
        state.all_at_rest()
    }
}
