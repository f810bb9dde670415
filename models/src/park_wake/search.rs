//! Without a task: *search*, and, with one again, *hand over*.

use super::phase::Phase;
use super::{ParkWake, Steps, Variant};

impl<const WORKERS: usize> ParkWake<WORKERS> {
    pub(super) fn leaves_early(&self) -> bool {
        self.variant == Variant::LeaveBeforeSteal
    }

    /// Takes the next task of its own, or begins to search.
    pub(super) fn next_task(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.is_locked(me) {
            return;
        }
        if turn.state.queues[me] > 0 {
            turn.step("pops a task of its own", |next| {
                next.pop(me);
                next.enter(me, Phase::Running);
            });
        } else {
            self.count_as_searching("has no task, counts as searching", turn);
        }
    }

    pub(super) fn count_as_searching(&self, verb: &'static str, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.memory.is_drained(me) {
            turn.step(verb, |next| {
                next.searching += 1;
                next.enter(me, Phase::Searching);
            });
        }
    }

    pub(super) fn search(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.done {
            turn.step("sees done, leaves", |next| {
                next.searching -= 1;
                next.enter(me, Phase::Exited);
            });
        } else {
            turn.step("begins to look", |next| next.enter(me, Phase::Looking(0)));
        }
    }

    pub(super) fn look(&self, at: u8, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let queue = usize::from(at);
        if queue == WORKERS {
            turn.step("has seen nothing", |next| next.enter(me, Phase::Registering));
        } else if queue != me && turn.state.is_visible(me, queue) {
            let then = Phase::Stealing(at);
            turn.step_on("sees something in queue", queue, |next| next.enter(me, then));
        } else {
            let then = Phase::Looking(at + 1);
            turn.step_on("sees nothing in queue", queue, |next| next.enter(me, then));
        }
    }

    pub(super) fn begin_steal(&self, at: u8, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if !self.leaves_early() {
            self.lock(at, Phase::Searching, turn);
        } else if turn.state.memory.is_drained(me) {
            turn.step("no longer counts as searching", |next| {
                next.searching -= 1;
                next.enter(me, Phase::StealingUncounted(at));
            });
        }
    }

    /// Locks a queue and calls the barrier; or finds another thief there, and goes on to
    /// `otherwise`.
    pub(super) fn lock(&self, at: u8, otherwise: Phase, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let queue = usize::from(at);
        if !turn.state.memory.is_drained(me) {
            return;
        }
        if turn.state.is_locked(queue) {
            turn.step_on("finds a thief at queue", queue, |next| next.enter(me, otherwise));
            return;
        }
        turn.step_on("locks queue", queue, |next| {
            next.lock(queue);
            if self.variant != Variant::Fences {
                next.memory.begin_barrier(me);
            }
            next.enter(me, Phase::Locked(at));
        });
    }

    /// Takes half of the queue that it has locked, once the owner's changes are in memory.
    pub(super) fn steal(&self, queue: usize, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let memory = &turn.state.memory;
        let settled = match self.variant {
            // A thief sees the last change of a fenced lock's owner, because it sees the owner
            // leave.
            Variant::Fences => memory.is_drained(queue),
            _ => memory.barrier_passed(me),
        };
        if !settled {
            return;
        }
        let failed = if self.leaves_early() { Phase::FailedUncounted } else { Phase::Searching };
        turn.step_on("takes half of queue", queue, |next| {
            let then = match next.take_half(me, queue) {
                0 => failed,
                tasks => Phase::Stolen(tasks - 1),
            };
            next.enter(me, then);
        });
    }

    pub(super) fn keep_the_rest(&self, more: u8, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if !turn.state.is_locked(me) {
            turn.step("puts the rest into its own queue", |next| {
                next.push(me, more);
                next.enter(me, Phase::Found);
            });
        }
    }

    /// With a task in its hands, leaves the searchers, or finds that it has left them already.
    pub(super) fn stop_searching(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if self.leaves_early() {
            let then =
                if turn.state.must_wake() { Phase::LookingForMore(0) } else { Phase::Running };
            turn.step("loads the word", |next| next.enter(me, then));
        } else if turn.state.memory.is_drained(me) {
            let last = turn.state.searching == 1 && turn.state.somebody_sleeps();
            let then = if last { self.hand_over() } else { Phase::Running };
            turn.step("no longer counts as searching", |next| {
                next.searching -= 1;
                next.enter(me, then);
            });
        }
    }

    /// How the last searcher begins to hand over.
    fn hand_over(&self) -> Phase {
        match self.variant {
            Variant::NoHandOver => Phase::Running,
            Variant::HandOverUnseen => Phase::Waking,
            Variant::NoBarrierBeforeHandOver => Phase::LookingForMore(0),
            _ => Phase::HandingOver,
        }
    }

    /// Looks at all queues, its own included, for something that a sleeper could take.
    pub(super) fn look_for_more(&self, at: u8, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let queue = usize::from(at);
        if queue == WORKERS {
            turn.step("has nothing to hand over", |next| next.enter(me, Phase::Running));
        } else if turn.state.is_visible(me, queue) {
            turn.step_on("hands over queue", queue, |next| next.enter(me, Phase::Waking));
        } else {
            let then = Phase::LookingForMore(at + 1);
            turn.step_on("sees nothing to hand over in queue", queue, |next| next.enter(me, then));
        }
    }
}
