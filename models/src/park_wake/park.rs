//! Having found nothing: *park*, *unregister*, and *end*.

use super::phase::Phase;
use super::state::notified;
use super::{ParkWake, Steps, Variant};

impl<const WORKERS: usize> ParkWake<WORKERS> {
    pub(super) fn register(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if !turn.state.can_take_mutex(me) {
            return;
        }
        let then = match self.variant {
            Variant::NoSecondLook => Phase::LookingForEnd,
            Variant::NoBarrierBeforePark => Phase::LookingAgain(0),
            _ => Phase::Registered,
        };
        turn.step("registers as a sleeper", |next| {
            next.memory.swap(me, notified(me), 0);
            next.enlist(me);
            next.enter(me, then);
        });
    }

    pub(super) fn look_again(&self, at: u8, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let queue = usize::from(at);
        if queue == WORKERS {
            turn.step("has seen nothing again", |next| next.enter(me, Phase::LookingForEnd));
        } else if queue != me && turn.state.is_visible(me, queue) {
            let then = Phase::Unregistering { end: false };
            turn.step_on("sees in time something in queue", queue, |next| next.enter(me, then));
        } else {
            let then = Phase::LookingAgain(at + 1);
            turn.step_on("sees nothing again in queue", queue, |next| next.enter(me, then));
        }
    }

    pub(super) fn look_for_end(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.done {
            let then = Phase::Unregistering { end: false };
            turn.step("sees done", |next| next.enter(me, then));
        } else if turn.state.all_finished() {
            let then = Phase::Unregistering { end: true };
            turn.step("sees that all is finished", |next| next.enter(me, then));
        } else {
            turn.step("parks", |next| next.enter(me, Phase::Parked));
        }
    }

    /// Takes itself off the list, unless somebody else has done so.
    pub(super) fn unregister(&self, end: bool, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if !turn.state.can_take_mutex(me) {
            return;
        }
        let then = if end { Phase::Ending } else { Phase::Searching };
        if turn.state.is_listed(me) {
            turn.step("takes itself off the list", |next| {
                next.unlist(me);
                next.enter(me, then);
            });
        } else if self.variant == Variant::NotifiedLater {
            turn.step("is off the list already, waits", |next| next.enter(me, Phase::Parked));
        } else {
            turn.step("is off the list already", |next| next.enter(me, then));
        }
    }

    /// Sleeps until it is notified. Whoever did that has counted it as searching.
    pub(super) fn park(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.is_notified(me) {
            turn.step("is notified, searches", |next| next.enter(me, Phase::Searching));
        }
    }

    pub(super) fn store_done(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.memory.is_drained(me) {
            turn.step("stores done", |next| {
                next.done = true;
                next.enter(me, Phase::NotifyingAll);
            });
        }
    }

    /// Empties the list, notifies all who were on it, and leaves.
    pub(super) fn notify_all(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if !turn.state.can_take_mutex(me) {
            return;
        }
        let listed = turn.state.listed();
        turn.step("notifies everybody, leaves", |next| {
            for sleeper in listed {
                next.unlist(sleeper);
                next.memory.store(me, notified(sleeper), 1);
            }
            next.searching -= 1;
            next.enter(me, Phase::Exited);
        });
    }
}
