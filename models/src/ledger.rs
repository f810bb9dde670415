//! The end proved by two counts a worker: first all that is finished, then all that was posted.
//!
//! # The protocol
//!
//! Every worker counts what it posted and what it finished; nobody else writes these counts. A task
//! is counted as posted before anyone can see it, and as finished after everything that it posted
//! has been counted. The detector adds up **`finished` first, then `posted`**. If the sums are
//! equal, everything is finished: the first sum is at most what was finished at the moment between
//! the two, the second at least what was posted at that moment, and no task finishes before it is
//! posted.
//!
//! The engine decides by its epochs (see [`end_rule`](super::end_rule)) and keeps the ledger as the
//! proof. Both orders of reading look alike, and only one is right: that is what this model is for.
//!
//! # Hazards
//!
//! - **Tomorrow's finish**: read after `posted`, the sum of `finished` contains finishes of tasks
//!   that the other sum has not heard of, and they stand in for tasks that still run. See
//!   [`Variant::PostedFirst`].
//! - **Unbooked task**: a task that can be taken before it is counted may also be finished before
//!   it is counted. See [`Variant::CountedAfterPush`].

use super::checker::{Model, Turn};

/// The ledger with `WORKERS` workers, who share one bag of tasks: any order of taking is possible.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<const WORKERS: usize> {
    /// The protocol, or one of its wrong twins.
    pub variant: Variant,
    /// How many tasks all handlers together may post, on top of the first task.
    pub budget: u8,
}

/// The protocol, or what one of its wrong twins does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The sum of `finished` is read before the sum of `posted`.
    FinishedFirst,
    /// Wrong: the sum of `posted` is read before the sum of `finished`.
    PostedFirst,
    /// Wrong: a task becomes visible before it is counted.
    CountedAfterPush,
}

/// What all workers together look like between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State<const WORKERS: usize> {
    phases: [Phase; WORKERS],
    posted: [u8; WORKERS],
    finished: [u8; WORKERS],
    /// Tasks in the bag.
    queued: u8,
    budget: u8,
}

/// Where a worker is in its loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Holds no task: may take one, or begin to add up, at any time.
    Free,
    /// Holds a task.
    Running,
    /// Holds a task, and has done the first of the two things that make a post.
    Posting,
    /// Has added up the column that is read first, for the workers before `at`.
    AddingFirst { at: u8, sum: u8 },
    /// The same for the second column, with the sum of the first.
    AddingSecond { at: u8, sum: u8, first: u8 },
    /// Has declared the end.
    Done,
}

type Steps<'a, const WORKERS: usize> = Turn<'a, State<WORKERS>>;

impl<const WORKERS: usize> State<WORKERS> {
    fn unfinished(&self) -> u8 {
        let held = |phase: &&Phase| matches!(phase, Phase::Running | Phase::Posting);
        self.queued + self.phases.iter().filter(held).count() as u8
    }

    fn ended(&self) -> bool {
        self.phases.contains(&Phase::Done)
    }
}

impl<const WORKERS: usize> Ledger<WORKERS> {
    /// What the detector reads first, and what second.
    fn columns<'a>(&self, state: &'a State<WORKERS>) -> [&'a [u8; WORKERS]; 2] {
        match self.variant {
            Variant::PostedFirst => [&state.posted, &state.finished],
            _ => [&state.finished, &state.posted],
        }
    }

    fn free(turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.queued > 0 {
            turn.step("takes a task", |next| {
                next.queued -= 1;
                next.phases[me] = Phase::Running;
            });
        }
        let first = Phase::AddingFirst { at: 0, sum: 0 };
        turn.step("begins to add up", |next| next.phases[me] = first);
    }

    fn run(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        turn.step("finishes its task", |next| {
            next.finished[me] += 1;
            next.phases[me] = Phase::Free;
        });
        if turn.state.budget > 0 {
            self.begin_post(turn);
        }
    }

    /// The first half of a post.
    fn begin_post(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let begin = |next: &mut State<WORKERS>| {
            next.budget -= 1;
            next.phases[me] = Phase::Posting;
        };
        if self.variant == Variant::CountedAfterPush {
            turn.step("makes a task visible", |next| {
                next.queued += 1;
                begin(next);
            });
        } else {
            turn.step("counts a post", |next| {
                next.posted[me] += 1;
                begin(next);
            });
        }
    }

    /// The other half.
    fn complete_post(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if self.variant == Variant::CountedAfterPush {
            turn.step("counts the post", |next| {
                next.posted[me] += 1;
                next.phases[me] = Phase::Running;
            });
        } else {
            turn.step("makes the task visible", |next| {
                next.queued += 1;
                next.phases[me] = Phase::Running;
            });
        }
    }

    fn add_first(&self, at: u8, sum: u8, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let [first, _] = self.columns(turn.state);
        let sum = sum + first[usize::from(at)];
        let then = match at + 1 {
            at if usize::from(at) < WORKERS => Phase::AddingFirst { at, sum },
            _ => Phase::AddingSecond { at: 0, sum: 0, first: sum },
        };
        turn.step_on("reads the first column of worker", at.into(), |next| next.phases[me] = then);
    }

    fn add_second(&self, at: u8, sum: u8, first: u8, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let [_, second] = self.columns(turn.state);
        let sum = sum + second[usize::from(at)];
        let then = match at + 1 {
            at if usize::from(at) < WORKERS => Phase::AddingSecond { at, sum, first },
            _ if sum == first => Phase::Done,
            _ => Phase::Free,
        };
        turn.step_on("reads the second column of worker", at.into(), |next| next.phases[me] = then);
    }
}

impl<const WORKERS: usize> Model for Ledger<WORKERS> {
    type State = State<WORKERS>;

    /// One task in the bag, booked to worker 0.
    fn initial(&self) -> State<WORKERS> {
        let mut posted = [0; WORKERS];
        posted[0] = 1;
        State {
            phases: [Phase::Free; WORKERS],
            posted,
            finished: [0; WORKERS],
            queued: 1,
            budget: self.budget,
        }
    }

    fn actors(&self) -> usize {
        WORKERS
    }

    fn turn(&self, turn: &mut Steps<'_, WORKERS>) {
        match turn.state.phases[turn.actor] {
            Phase::Free => Self::free(turn),
            Phase::Running => self.run(turn),
            Phase::Posting => self.complete_post(turn),
            Phase::AddingFirst { at, sum } => self.add_first(at, sum, turn),
            Phase::AddingSecond { at, sum, first } => self.add_second(at, sum, first, turn),
            Phase::Done => {}
        }
    }

    fn violation(&self, state: &State<WORKERS>) -> Option<&'static str> {
        let early = state.ended() && state.unfinished() > 0;
        early.then_some("the sums were equal while a task was unfinished")
    }

    fn is_final(&self, state: &State<WORKERS>) -> bool {
        state.ended()
    }
}
