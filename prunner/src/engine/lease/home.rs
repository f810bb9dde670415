//! The dict of one worker, whose truth is the broker's.

use std::{
    fmt,
    panic::resume_unwind,
    sync::{Arc, Weak},
    time::Instant,
};

use parking_lot::MutexGuard;

use super::{Link, slot::Slot, state::State};
use crate::{
    broker::{Entry, Lock, Read, Token},
    dict::RemoteDict,
};

/// The way from a worker's dict to the broker.
pub(crate) struct SlotDict {
    /// The slot has the dict that has this.
    slot: Weak<Slot>,
    link: Arc<dyn Link>,
}

/// What a handler unwinds with when its lease is gone: nothing that it does counts any more.
pub(super) struct LeaseLost;

impl SlotDict {
    pub(crate) fn new(slot: &Arc<Slot>, link: Arc<dyn Link>) -> Self {
        Self { slot: Arc::downgrade(slot), link }
    }

    fn slot(&self) -> Arc<Slot> {
        self.slot.upgrade().expect("a worker has a slot as long as it runs")
    }
}

impl Slot {
    /// Asks something on behalf of the lease and waits for the answer. The lease cannot be cut meanwhile:
    /// the answer is for its token.
    fn ask<A>(
        &self,
        state: &mut MutexGuard<'_, State>,
        link: &dyn Link,
        ask: impl FnOnce(Token),
        answer: impl Fn(&mut State) -> Option<A>,
    ) -> A {
        self.wait_for_commit(state, link);
        let token = match state.lease.token {
            Some(token) if !state.lease.lost => token,
            _ => lease_lost(),
        };
        state.question.asking = true;
        MutexGuard::unlocked(state, || ask(token));
        loop {
            if let Some(answer) = answer(state) {
                state.question.asking = false;
                return answer;
            }
            self.wait(state);
        }
    }
}

fn lease_lost() -> ! {
    resume_unwind(Box::new(LeaseLost))
}

impl RemoteDict for SlotDict {
    fn lock(&self) {
        let slot = self.slot();
        let mut state = slot.lock();
        if state.lease.held {
            return;
        }
        let waits_since = Instant::now();
        state.handler.waits_since = Some(waits_since);
        let ask = |token| self.link.lock(slot.seat, token);
        let lock = slot.ask(&mut state, &*self.link, ask, |state| state.question.lock.take());
        state.handler.waits_since = None;
        state.handler.waited += waits_since.elapsed();
        match lock {
            Lock::Held => (state.lease.held, state.lease.waited) = (true, true),
            Lock::Busy | Lock::Lost => {
                state.lease.lost = true;
                lease_lost();
            }
        }
    }

    fn read(&self, key: &str, known: u64) -> Option<Entry> {
        let slot = self.slot();
        let mut state = slot.lock();
        let ask = |token| self.link.read(slot.seat, token, key, known);
        match slot.ask(&mut state, &*self.link, ask, |state| state.question.read.take()) {
            Read::Entry(entry) => Some(entry),
            Read::Unchanged => None,
            Read::Lost => {
                state.lease.lost = true;
                lease_lost();
            }
        }
    }

    fn apply_answers(&self) {
        let slot = self.slot();
        let mut state = slot.lock();
        while state.sending.is_answered() {
            slot.apply_answer(&mut state, &*self.link);
        }
    }

    fn most_bytes(&self) -> usize {
        self.slot().payload.most()
    }
}

impl fmt::Debug for SlotDict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotDict").finish_non_exhaustive()
    }
}
