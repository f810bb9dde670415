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

/// The lease of the handler that asks. Its questions are answered as of after its last commit.
fn settled<T>(desk: &Desk<T>, state: &mut MutexGuard<'_, State<T>>) -> Token {
    desk.wait_for_commit(state);
    match state.token {
        Some(token) if !state.lost => token,
        _ => resume_unwind(Box::new(LeaseLost)),
    }
}

impl<T: Send> Home for DeskHome<T> {
    fn lock(&self) {
        let desk = self.desk();
        let mut state = desk.lock();
        let token = settled(&desk, &mut state);
        if state.held {
            return;
        }
        state.lock_answer = None;
        self.link.lock(desk.seat, token);
        let answer = loop {
            match state.lock_answer.take() {
                Some(answer) => break answer,
                None => desk.wait(&mut state),
            }
        };
        match answer {
            Lock::Held => state.held = true,
            Lock::Busy | Lock::Lost => {
                state.lost = true;
                drop(state);
                resume_unwind(Box::new(LeaseLost));
            }
        }
    }

    fn read(&self, key: &str, known: u64) -> Option<Entry> {
        let desk = self.desk();
        let mut state = desk.lock();
        let token = settled(&desk, &mut state);
        state.read_answer = None;
        self.link.read(desk.seat, token, key, known);
        let answer = loop {
            match state.read_answer.take() {
                Some(answer) => break answer,
                None => desk.wait(&mut state),
            }
        };
        match answer {
            Read::Entry(entry) => Some(entry),
            Read::Unchanged => None,
            Read::Lost => {
                state.lost = true;
                drop(state);
                resume_unwind(Box::new(LeaseLost));
            }
        }
    }
}

impl<T> fmt::Debug for DeskHome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeskHome").finish_non_exhaustive()
    }
}
