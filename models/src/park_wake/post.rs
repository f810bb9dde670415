//! In a handler: *post* and *wake one*.

use super::phase::Phase;
use super::state::notified;
use super::{ParkWake, Steps, Variant};

impl<const WORKERS: usize> ParkWake<WORKERS> {
    /// A handler may end, and may post.
    pub(super) fn run(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.handler_may_end() {
            turn.step("finishes its task", |next| next.enter(me, Phase::BetweenTasks));
        }
        if turn.state.budget == 0 {
            return;
        }
        if self.variant == Variant::WordBeforePublish {
            let wake = turn.state.must_wake();
            turn.step("loads the word, before it posts", |next| {
                next.budget -= 1;
                next.enter(me, Phase::Publishing { wake });
            });
        } else if !turn.state.is_locked(me) {
            turn.step("posts a task", |next| {
                next.budget -= 1;
                next.push(me, 1);
                next.enter(me, Phase::Published);
            });
        }
    }

    /// The wrong twin's post, after it has loaded the word.
    pub(super) fn publish_late(&self, wake: bool, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if !turn.state.is_locked(me) {
            turn.step("posts a task", |next| {
                next.push(me, 1);
                next.enter(me, if wake { Phase::Waking } else { Phase::Running });
            });
        }
    }

    /// The look at the word after a post.
    pub(super) fn load_word(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let fenced = self.variant == Variant::Fences;
        if fenced && !turn.state.memory.is_drained(me) {
            return;
        }
        if turn.state.must_wake() {
            turn.step("reads that it must wake", |next| next.enter(me, Phase::Waking));
        } else {
            turn.step("reads that it need not wake", |next| next.enter(me, Phase::Running));
        }
    }

    /// Takes the mutex, and lets go of it if somebody searches.
    pub(super) fn begin_wake(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if !turn.state.can_take_mutex(me) {
            return;
        }
        if turn.state.searching > 0 {
            turn.step("wakes nobody, as somebody searches", |next| next.enter(me, Phase::Running));
        } else {
            turn.step("takes the mutex", |next| {
                next.mutex = true;
                next.enter(me, Phase::WakingLocked);
            });
        }
    }

    fn notifies_later(&self) -> bool {
        matches!(self.variant, Variant::NotifiedLater | Variant::NotificationLeftBehind)
    }

    /// Takes a sleeper off the list, any one, notifies it, and releases the mutex.
    pub(super) fn wake(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        for sleeper in turn.state.listed() {
            turn.step_on("takes off the list worker", sleeper, |next| {
                next.unlist(sleeper);
                next.mutex = false;
                if self.notifies_later() {
                    next.enter(me, Phase::Notifying(sleeper as u8));
                } else {
                    next.memory.swap(me, notified(sleeper), 1);
                    next.enter(me, Phase::Running);
                }
            });
        }
        if !turn.state.somebody_sleeps() {
            turn.step("finds nobody on the list", |next| {
                next.mutex = false;
                next.enter(me, Phase::Running);
            });
        }
    }

    /// Notifies the worker that it took off the list, with the mutex already released.
    pub(super) fn notify(&self, sleeper: usize, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        turn.step_on("notifies worker", sleeper, |next| {
            next.memory.store(me, notified(sleeper), 1);
            next.enter(me, Phase::Running);
        });
    }
}
