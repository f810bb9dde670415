//! The dict of one worker, whose truth is the broker's.

use std::{
    fmt,
    panic::resume_unwind,
    sync::{Arc, Weak},
};

use parking_lot::MutexGuard;

use super::{
    Link,
    desk::{Desk, State},
};
use crate::{
    broker::{Entry, Lock, Read, Token},
    dict::Home,
};

/// The way from a worker's dict to the broker.
pub(crate) struct DeskHome<T> {
    /// The desk has the dict that has this.
    desk: Weak<Desk<T>>,
    link: Arc<dyn Link>,
}

/// What a handler unwinds with when its lease is gone: nothing that it does counts any more.
pub(super) struct LeaseLost;

impl<T> DeskHome<T> {
    pub(crate) fn new(desk: &Arc<Desk<T>>, link: Arc<dyn Link>) -> Self {
        Self { desk: Arc::downgrade(desk), link }
    }

    fn desk(&self) -> Arc<Desk<T>> {
        self.desk.upgrade().expect("a worker has a desk as long as it runs")
    }
}

impl<T> Desk<T> {
    /// Asks something on behalf of the lease and waits for the answer. The lease cannot be cut meanwhile:
    /// the answer is for its token.
    fn ask<A>(
        &self,
        state: &mut MutexGuard<'_, State<T>>,
        ask: impl FnOnce(Token),
        answer: impl Fn(&mut State<T>) -> Option<A>,
    ) -> A {
        self.wait_for_commit(state);
        let token = match state.token {
            Some(token) if !state.lost => token,
            _ => lease_lost(),
        };
        state.asking = true;
        ask(token);
        loop {
            if let Some(answer) = answer(state) {
                state.asking = false;
                return answer;
            }
            self.wait(state);
        }
    }
}

fn lease_lost() -> ! {
    resume_unwind(Box::new(LeaseLost))
}

impl<T: Send> Home for DeskHome<T> {
    fn lock(&self) {
        let desk = self.desk();
        let mut state = desk.lock();
        if state.held {
            return;
        }
        let ask = |token| self.link.lock(desk.seat, token);
        match desk.ask(&mut state, ask, |state| state.lock_answer.take()) {
            Lock::Held => (state.held, state.waited) = (true, true),
            Lock::Busy | Lock::Lost => {
                state.lost = true;
                lease_lost();
            }
        }
    }

    fn read(&self, key: &str, known: u64) -> Option<Entry> {
        let desk = self.desk();
        let mut state = desk.lock();
        let ask = |token| self.link.read(desk.seat, token, key, known);
        match desk.ask(&mut state, ask, |state| state.read_answer.take()) {
            Read::Entry(entry) => Some(entry),
            Read::Unchanged => None,
            Read::Lost => {
                state.lost = true;
                lease_lost();
            }
        }
    }
}

impl<T> fmt::Debug for DeskHome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeskHome").finish_non_exhaustive()
    }
}
