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
//! 3. if it is 2, it takes that back: a compare-and-swap from 2 to 0, and it is inside;
//! 4. else, or if somebody was faster, it steps back (`own = 0`), waits until it sees `want == 0`, and
//!    begins again at 1.
//!
//! Outside, it may *lend* the lock to a thief that it wakes: a compare-and-swap of `want` from 0 to 2.
//!
//! A thief:
//!
//! 1. loads `want`; if that is 1, another thief is at it, and this one gives up; else it replaces what
//!    it has seen by 1, with a compare-and-swap, and gives up if that has changed;
//! 2. calls `membarrier`, unless it has replaced a 2;
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
//! Whoever replaces a 2 needs no barrier, because the owner itself has stored it, outside: it cannot
//! miss the 2, nor what came of it, when it looks at `want` the next time. Then there are two that want
//! to replace it, and a compare-and-swap succeeds for one.
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
//! - **Lent twice**: an owner that goes in without taking back what it has lent, or takes it back by a
//!   plain store, is inside together with a thief that was let in. So is a thief that skips the barrier
//!   for a 2 that was there when it looked, and is gone when it swaps. See [`Variant::NoTakingBack`],
//!   [`Variant::PlainTakingBack`] and [`Variant::OldLoan`].
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
    /// Whether the owner may lend the lock whenever it is outside.
    pub lends: bool,
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
    /// Wrong: the owner enters over what it has lent.
    NoTakingBack,
    /// Wrong: the owner takes back what it has lent by a plain store.
    PlainTakingBack,
    /// Wrong: the thief that has seen the lock lent swaps, whatever is there now, and calls no barrier.
    OldLoan,
}

const OWNER: usize = 0;

const OWN: usize = 0;
const WANT: usize = 1;
const COUNTER: usize = 2;

/// What `want` holds.
const FREE: u8 = 0;
const VISITED: u8 = 1;
const LENT: u8 = 2;

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
    /// Owner: has seen that it has lent the lock.
    TakingBack,
    /// Owner: has seen a thief.
    SteppingBack,
    /// Owner: waits for `want` to fall.
    Waiting,
    /// Owner, only in wrong twins: has decided to enter, and has yet to store `own`.
    Unannounced,
    /// Thief: has seen the lock lent.
    Called,
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
            Phase::TakingBack => self.take_back(turn),
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

    /// What the owner may do besides, while it is outside.
    fn lend(&self, turn: &mut Steps<'_, THREADS>) {
        let memory = &turn.state.memory;
        if self.lends && memory.is_drained(OWNER) && memory.cell(WANT) == FREE {
            turn.step("lends, swaps want from 0 to 2", |next| {
                next.memory.swap(OWNER, WANT, LENT);
            });
        }
    }

    /// The owner's look at `want` that decides (its steps 1 to 4).
    fn look(&self, turn: &mut Steps<'_, THREADS>) {
        let memory = &turn.state.memory;
        let fenced = self.variant == Variant::Fences;
        if fenced && !memory.is_drained(OWNER) {
            return;
        }
        match memory.load(OWNER, WANT) {
            FREE => turn.step("sees want == 0, enters", |next| next.enter(OWNER, Phase::Inside)),
            LENT => turn.step("sees want == 2", |next| next.enter(OWNER, Phase::TakingBack)),
            _ => turn.step("sees want == 1", |next| next.enter(OWNER, Phase::SteppingBack)),
        }
    }

    /// Step 3 of the owner.
    fn take_back(&self, turn: &mut Steps<'_, THREADS>) {
        let memory = &turn.state.memory;
        if self.variant == Variant::NoTakingBack {
            turn.step("enters all the same", |next| next.enter(OWNER, Phase::Inside));
        } else if self.variant == Variant::PlainTakingBack {
            turn.step("takes it back, stores want = 0", |next| {
                next.store(OWNER, WANT, FREE, Phase::Inside);
            });
        } else if !memory.is_drained(OWNER) {
            // A locked instruction waits for the store buffer.
        } else if memory.cell(WANT) == LENT {
            turn.step("takes it back, swaps want from 2 to 0, enters", |next| {
                next.memory.swap(OWNER, WANT, FREE);
                next.enter(OWNER, Phase::Inside);
            });
        } else {
            turn.step("cannot take it back", |next| next.enter(OWNER, Phase::SteppingBack));
        }
    }

    /// The wrong twin's look, before it has stored `own`.
    fn look_early(&self, turn: &mut Steps<'_, THREADS>) {
        if turn.state.memory.load(OWNER, WANT) == 0 {
            turn.step("sees want == 0", |next| next.enter(OWNER, Phase::Unannounced));
        }
    }

    /// The owner waits for the thief to leave (its step 4).
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
            Phase::Rest => self.look_for_thieves(turn),
            Phase::Called => self.accept(turn),
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

    /// Step 1 of a thief. That the look at a free lock and its claim are one step leaves nothing out: the
    /// swap would fail in between, or find the same.
    fn look_for_thieves(&self, turn: &mut Steps<'_, THREADS>) {
        let me = turn.actor;
        let memory = &turn.state.memory;
        match memory.load(me, WANT) {
            VISITED => turn.step("sees another thief, gives up", |next| next.end_round(me)),
            LENT => turn.step("sees want == 2", |next| next.enter(me, Phase::Called)),
            _ if self.variant == Variant::PlainClaim => {
                turn.step("sees want == 0", |next| next.enter(me, Phase::Unclaimed));
            }
            _ if memory.is_drained(me) => turn.step("swaps want from 0 to 1", |next| {
                next.memory.swap(me, WANT, VISITED);
                next.enter(me, Phase::Claimed);
            }),
            _ => {}
        }
    }

    /// Step 1 of a thief that has seen the lock lent.
    fn accept(&self, turn: &mut Steps<'_, THREADS>) {
        let me = turn.actor;
        let memory = &turn.state.memory;
        if !memory.is_drained(me) {
            return;
        }
        let old_loan = self.variant == Variant::OldLoan && memory.cell(WANT) == FREE;
        if memory.cell(WANT) == LENT || old_loan {
            turn.step("swaps want to 1, calls no barrier", |next| {
                next.memory.swap(me, WANT, VISITED);
                next.enter(me, Phase::Watching);
            });
        } else {
            turn.step("comes too late, gives up", |next| next.end_round(me));
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
        if me == OWNER && phase == Phase::Rest {
            self.lend(turn);
        }
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
