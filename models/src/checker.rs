//! The explorer: every state that a model can reach, breadth first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A protocol as a finite transition system of several actors that take turns in any order.
pub trait Model {
    /// Everything that decides what can happen next. Two equal states are explored once.
    type State: Clone + Eq + Hash;

    /// The one state in which every run begins.
    fn initial(&self) -> Self::State;

    /// How many actors (workers, threads) take turns.
    fn actors(&self) -> usize;

    /// Offers every atomic step that `turn.actor` may take in `turn.state`; none if the actor is
    /// blocked or has finished.
    fn turn(&self, turn: &mut Turn<'_, Self::State>);

    /// What is wrong with `state`, if it breaks the property that the model is about.
    fn violation(&self, state: &Self::State) -> Option<&'static str>;

    /// Whether a run may rest in `state` for good. Final states are not explored further.
    fn is_final(&self, state: &Self::State) -> bool;
}

/// One actor's turn in one state: collects the steps that the actor could take.
pub struct Turn<'a, S> {
    /// Whose turn it is.
    pub actor: usize,
    /// The state in which all offered steps begin.
    pub state: &'a S,
    out: &'a mut Vec<(Step, S)>,
}

impl<S: Clone> Turn<'_, S> {
    /// Offers a step that does `verb`, whose effect on the state is `change`.
    pub fn step(&mut self, verb: &'static str, change: impl FnOnce(&mut S)) {
        self.offer(verb, None, change);
    }

    /// Offers a step that does `verb` to the thing numbered `object`, such as another worker's
    /// queue.
    pub fn step_on(&mut self, verb: &'static str, object: usize, change: impl FnOnce(&mut S)) {
        self.offer(verb, Some(object), change);
    }

    fn offer(&mut self, verb: &'static str, object: Option<usize>, change: impl FnOnce(&mut S)) {
        let mut next = self.state.clone();
        change(&mut next);
        let step = Step { actor: self.actor, verb, object };
        self.out.push((step, next));
    }
}

/// One line of a counterexample: who did what (to whom).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The actor that took the step.
    pub actor: usize,
    /// What it did.
    pub verb: &'static str,
    /// The number of the queue, worker or thread that it did it to, where there is one.
    pub object: Option<usize>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.actor, self.verb)?;
        match self.object {
            Some(object) => write!(f, " {object}"),
            None => Ok(()),
        }
    }
}

/// Why a counterexample is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The last state breaks the model's property.
    Violation(&'static str),
    /// The last state is not final, and no actor can take a step.
    Deadlock,
    /// The actors can go on from the last state, but never again to a final state.
    Trap,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Violation(what) => f.write_str(what),
            Fault::Deadlock => f.write_str("deadlock: nobody can take a step"),
            Fault::Trap => f.write_str("trap: no final state can be reached any more"),
        }
    }
}

/// A shortest run that ends in a fault.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What is wrong in the last state.
    pub fault: Fault,
    /// The steps from the initial state to the last one.
    pub steps: Vec<Step>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} after {} steps:", self.fault, self.steps.len())?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}. {step}", number + 1)?;
        }
        Ok(())
    }
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// Distinct states seen: all that can be reached, unless a counterexample ended the search
    /// early.
    pub states: usize,
    /// A shortest counterexample, or `None` if the property holds in every reachable state.
    pub counterexample: Option<Counterexample>,
}

/// Visits every reachable state of `model`, in the order of their distance from the initial one.
///
/// Stops at the first violation or deadlock, which is therefore a nearest one. If there is none, it
/// then proves that a final state can be reached from *every* state seen: nobody ever sleeps for
/// good, and no two workers keep each other spinning with no way out. A run can still be as long as
/// an unfair scheduler makes it.
///
/// # Panics
///
/// If the model has more than `u32::MAX` states.
pub fn explore<M: Model>(model: &M) -> Exploration {
    let mut graph = Graph::new(model.initial());
    let fault = graph.grow(model).or_else(|| graph.find_trap());
    Exploration {
        states: graph.states.len(),
        counterexample: fault
            .map(|(fault, at)| Counterexample { fault, steps: graph.path_to(model, at) }),
    }
}

/// The reachable states, numbered in breadth-first order.
struct Graph<S> {
    states: Vec<S>,
    /// The number of every state: how an interleaving that leads to a known state is recognised.
    numbers: HashMap<S, u32, BuildHasherDefault<Mixer>>,
    /// For every state but the first, one from which it was first reached.
    parents: Vec<u32>,
    /// Every step between two states, as (from, to).
    edges: Vec<(u32, u32)>,
    finals: Vec<u32>,
}

impl<S: Clone + Eq + Hash> Graph<S> {
    fn new(initial: S) -> Self {
        let mut graph = Graph {
            states: Vec::new(),
            numbers: HashMap::default(),
            parents: Vec::new(),
            edges: Vec::new(),
            finals: Vec::new(),
        };
        graph.number(initial, 0);
        graph
    }

    /// The number of `state`, which was just reached from `parent`.
    fn number(&mut self, state: S, parent: u32) -> u32 {
        let next = u32::try_from(self.states.len()).expect("a model with fewer than 2^32 states");
        match self.numbers.entry(state) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.states.push(new.key().clone());
                self.parents.push(parent);
                *new.insert(next)
            }
        }
    }

    /// Explores everything; returns the first violation or deadlock and the number of its state.
    fn grow<M: Model<State = S>>(&mut self, model: &M) -> Option<(Fault, u32)> {
        let mut steps = Vec::new();
        let mut at = 0;
        while let Some(state) = self.states.get(at as usize) {
            if let Some(what) = model.violation(state) {
                return Some((Fault::Violation(what), at));
            }
            if model.is_final(state) {
                self.finals.push(at);
            } else {
                successors(model, state, &mut steps);
                if steps.is_empty() {
                    return Some((Fault::Deadlock, at));
                }
                for (_, next) in steps.drain(..) {
                    let to = self.number(next, at);
                    self.edges.push((at, to));
                }
            }
            at += 1;
        }
        None
    }

    /// The first state from which no final state can be reached.
    fn find_trap(&self) -> Option<(Fault, u32)> {
        let sources = Sources::new(self.states.len(), &self.edges);
        let mut hopeful = vec![false; self.states.len()];
        let mut pending = self.finals.clone();
        while let Some(at) = pending.pop() {
            if !std::mem::replace(&mut hopeful[at as usize], true) {
                pending.extend_from_slice(sources.of(at));
            }
        }
        let at = hopeful.iter().position(|hope| !hope)?;
        Some((Fault::Trap, at as u32))
    }

    /// The steps of a shortest run to the state numbered `at`.
    ///
    /// Steps are not stored with the states: they are found again by taking every step of the
    /// parent.
    fn path_to<M: Model<State = S>>(&self, model: &M, mut at: u32) -> Vec<Step> {
        let mut path = Vec::new();
        let mut steps = Vec::new();
        while at != 0 {
            let parent = self.parents[at as usize];
            successors(model, &self.states[parent as usize], &mut steps);
            let taken = steps.drain(..).find(|(_, next)| *next == self.states[at as usize]);
            path.push(taken.expect("a parent has a step to its child").0);
            at = parent;
        }
        path.reverse();
        path
    }
}

/// Replaces the content of `steps` by every step of every actor in `state`.
fn successors<M: Model>(model: &M, state: &M::State, steps: &mut Vec<(Step, M::State)>) {
    steps.clear();
    for actor in 0..model.actors() {
        model.turn(&mut Turn { actor, state, out: steps });
    }
}

/// The edges of a graph turned round: for each state, the states that have a step to it, all in one
/// vector.
struct Sources {
    /// Where the sources of each state begin in `from`; one more entry marks the end.
    begins: Vec<u32>,
    from: Vec<u32>,
}

impl Sources {
    fn new(states: usize, edges: &[(u32, u32)]) -> Self {
        let mut begins = vec![0; states + 1];
        for &(_, to) in edges {
            begins[to as usize + 1] += 1;
        }
        for at in 0..states {
            begins[at + 1] += begins[at];
        }
        let mut free = begins.clone();
        let mut from = vec![0; edges.len()];
        for &(source, to) in edges {
            let slot = &mut free[to as usize];
            from[*slot as usize] = source;
            *slot += 1;
        }
        Sources { begins, from }
    }

    fn of(&self, state: u32) -> &[u32] {
        let at = state as usize;
        &self.from[self.begins[at] as usize..self.begins[at + 1] as usize]
    }
}

/// A fast hash for short keys made of bytes.
///
/// The map compares whole states, so a poor hash costs time but never hides a state.
#[derive(Default)]
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        // The odd constant is 2^64 divided by the golden ratio.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(byte.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its bucket from the low bits and its tag from the high ones: fold them
        // together.
        self.0 ^ (self.0 >> 32)
    }
}
