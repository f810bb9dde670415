//! Litmus tests of the [store buffers](super::store_buffer): tiny programs, and an outcome to
//! forbid.
//!
//! They show that the machine has the weakness that the protocols are to be tried against, and no
//! other: what x86 allows must be reachable, what it forbids must not.

use super::checker::{Model, Turn};
use super::store_buffer::Memory;

/// Two threads, and what they must not both have loaded in the end.
#[derive(Clone, Copy, Debug)]
pub struct Litmus {
    /// The program of each thread.
    pub programs: [&'static [Instruction]; 2],
    /// For each thread, the values of its loads, in program order, that make the forbidden outcome.
    pub forbidden: [&'static [u8]; 2],
}

/// One instruction. Memory has two cells, `X` and `Y`, which are 0 in the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Stores 1 to a cell.
    Store(usize),
    /// Loads a cell.
    Load(usize),
    /// Waits for the thread's own stores.
    Fence,
    /// Makes every other thread execute a fence.
    Membarrier,
}

/// The first cell.
pub const X: usize = 0;
/// The second cell.
pub const Y: usize = 1;

/// What memory and both threads look like between two instructions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    memory: Memory<2, 2>,
    threads: [Thread; 2],
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Thread {
    /// The number of the next instruction.
    at: usize,
    /// Whether that instruction is a `membarrier` that has been called and has not returned.
    in_barrier: bool,
    loaded: Vec<u8>,
}

impl Litmus {
    fn execute(instruction: Instruction, turn: &mut Turn<'_, State>) {
        let me = turn.actor;
        let memory = &turn.state.memory;
        match instruction {
            Instruction::Store(cell) => turn.step_on("stores to cell", cell, |next| {
                next.memory.store(me, cell, 1);
                next.threads[me].at += 1;
            }),
            Instruction::Load(cell) => turn.step_on("loads cell", cell, |next| {
                let value = next.memory.load(me, cell);
                next.threads[me].loaded.push(value);
                next.threads[me].at += 1;
            }),
            Instruction::Fence if memory.is_drained(me) => {
                turn.step("executes a fence", |next| next.threads[me].at += 1);
            }
            Instruction::Membarrier if turn.state.threads[me].in_barrier => {
                if memory.barrier_passed(me) {
                    turn.step("passes the barrier", |next| {
                        next.threads[me].in_barrier = false;
                        next.threads[me].at += 1;
                    });
                }
            }
            Instruction::Membarrier if memory.is_drained(me) => {
                turn.step("calls membarrier", |next| {
                    next.memory.begin_barrier(me);
                    next.threads[me].in_barrier = true;
                });
            }
            Instruction::Fence | Instruction::Membarrier => {}
        }
    }
}

impl Model for Litmus {
    type State = State;

    fn initial(&self) -> State {
        State { memory: Memory::default(), threads: Default::default() }
    }

    fn actors(&self) -> usize {
        2
    }

    fn turn(&self, turn: &mut Turn<'_, State>) {
        let me = turn.actor;
        if !turn.state.memory.is_drained(me) {
            turn.step("has its oldest store reach memory", |next| next.memory.flush(me));
        }
        let at = turn.state.threads[me].at;
        if let Some(&instruction) = self.programs[me].get(at) {
            Self::execute(instruction, turn);
        }
    }

    fn violation(&self, state: &State) -> Option<&'static str> {
        let both = (0..2).all(|me| state.threads[me].loaded == self.forbidden[me]);
        (both && self.is_final(state)).then_some("the forbidden outcome")
    }

    fn is_final(&self, state: &State) -> bool {
        let ended = (0..2).all(|me| state.threads[me].at == self.programs[me].len());
        ended && state.memory.is_quiet()
    }
}
