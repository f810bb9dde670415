//! What one worker shares with its keeper: its lease, its commit, and what others want of it.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    Batching, Link,
    sending::{Reply, Stage},
    state::{Handler, State},
};
use crate::{
    broker::{Commit, Release, Token},
    dict::SharedDict,
    engine::stop::Phase,
    payload::Payload,
    settings::Terms,
};

/// One worker's side of the run. The worker locks it between two tasks; the keeper when there is
/// something to be done while a handler runs, and then as shortly: see [`State`].
pub(crate) struct Slot {
    pub(super) seat: u16,
    /// The number of this worker among those of all processes.
    worker: usize,
    pub(super) batching: Batching,
    pub(super) payload: Payload,
    /// Whether handlers have a limit, so that it must be known when each was started.
    timed: bool,
    state: Mutex<State>,
    /// An answer has come, or the phase has changed.
    changed: Condvar,
    /// Others wait for tasks.
    pub(super) tasks_wanted: AtomicBool,
    /// Others wait for the dict's lock.
    pub(super) lock_wanted: AtomicBool,
    /// Nothing new starts any more.
    pub(super) ending: AtomicBool,
    /// The place of the running task's label among the counts.
    pub(super) label: AtomicUsize,
    /// Set once the slot has its dict, whose home is this slot.
    dict: OnceLock<SharedDict>,
}

impl Slot {
    pub(crate) fn new(seat: u16, worker: usize, terms: &Terms) -> Self {
        let Terms { order, all_seats, limits, .. } = *terms;
        Self {
            seat,
            worker,
            batching: Batching::new(order, all_seats as usize),
            payload: Payload::new(limits.payload),
            timed: limits.task.is_some(),
            state: Mutex::new(State::new()),
            changed: Condvar::new(),
            tasks_wanted: AtomicBool::new(false),
            lock_wanted: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            label: AtomicUsize::new(usize::MAX),
            dict: OnceLock::new(),
        }
    }

    /// The number of its worker.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    /// Gives the slot the dict whose home it is.
    pub(crate) fn set_dict(&self, dict: SharedDict) {
        let set = self.dict.set(dict);
        debug_assert!(set.is_ok(), "a slot has one dict");
    }

    pub(crate) fn dict(&self) -> &SharedDict {
        self.dict.get().expect("set before any worker works")
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Locks the slot for a task that ends. What it has merged appears together with its counts and
    /// posts, so it waits while they are taken for a commit.
    #[inline]
    pub(super) fn lock_to_end_task(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while state.sending.stage == Stage::Collecting {
            self.wait(&mut state);
        }
        state
    }

    /// Waits until something has changed.
    pub(super) fn wait(&self, state: &mut MutexGuard<'_, State>) {
        self.changed.wait(state);
    }

    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Notes that a handler starts.
    #[inline]
    pub(super) fn start_handler(&self, state: &mut State) {
        let number = state.handler.number + 1;
        let since = self.timed.then(Instant::now);
        state.handler = Handler { number, since, ..Handler::default() };
        // Relaxed: a hint for a text.
        self.label.store(usize::MAX, Ordering::Relaxed);
    }

    /// Forgets that others wait: what they wait for is on its way to them.
    fn satisfy(&self) {
        self.tasks_wanted.store(false, Ordering::Relaxed);
        self.lock_wanted.store(false, Ordering::Relaxed);
    }

    /// Whether the worker should give back what it has not started.
    pub(super) fn is_wanted_back(&self) -> bool {
        self.tasks_wanted.load(Ordering::Relaxed)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Waits for a lease and takes it up, unless there is one that goes on; false when there will be
    /// none.
    pub(super) fn take_lease(&self, link: &dyn Link) -> bool {
        let mut state = self.lock();
        if state.lease.token.is_some() && state.lease.one_by_one {
            self.put_back(&mut state, link);
        }
        loop {
            if state.sending.is_answered() {
                self.apply_answer(&mut state, link);
                continue;
            }
            if state.broken || (state.lease.token.is_none() && state.phase != Phase::Going) {
                return false;
            }
            if state.lease.token.is_some() {
                return true;
            }
            if let Some(lease) = state.next_lease() {
                state.adopt(lease);
                return true;
            }
            let want = state.want(self.batching.in_flight());
            if want.is_empty() {
                self.wait(&mut state);
            } else {
                MutexGuard::unlocked(&mut state, || link.want(self.seat, want));
            }
        }
    }

    /// Gives a lease back of which nothing was started since its commit: it is then the next one, behind
    /// what is of a higher priority.
    pub(super) fn put_back(&self, state: &mut MutexGuard<'_, State>, link: &dyn Link) {
        // Before that it is not known.
        self.wait_for_commit(state, link);
        if let Some(token) = state.lease.token
            && !state.lease.lost
        {
            MutexGuard::unlocked(state, || link.release(self.seat, token, Release::Unstarted));
        }
        self.abandon(state);
    }

    /// Drops a lease that is gone, and what it has made of the dict.
    pub(super) fn abandon(&self, state: &mut MutexGuard<'_, State>) {
        state.abandon();
        MutexGuard::unlocked(state, || self.dict().forget());
    }

    /// Waits until no commit is under way.
    pub(super) fn wait_for_commit(&self, state: &mut MutexGuard<'_, State>, link: &dyn Link) {
        while !state.sending.is_idle() {
            if state.sending.is_answered() {
                self.apply_answer(state, link);
            } else {
                self.wait(state);
            }
        }
    }

    /// Ends the lease as it stands and sends the commit. A task that runs goes on under a lease of its
    /// own; it must not hold the dict's lock, nor wait for it. No commit may be under way.
    ///
    /// Returns false if the dict is broken.
    pub(super) fn commit(&self, state: &mut MutexGuard<'_, State>, link: &dyn Link) -> bool {
        let Some(draft) = state.cut(self.batching) else { return true };
        let successor = draft.successor.as_ref().map(|lease| lease.token);
        state.sending.begin(draft.token, successor);
        self.satisfy();
        let collected = MutexGuard::unlocked(state, || self.dict().collect());
        state.sending.stage = Stage::Writing;
        self.notify();
        let writes = MutexGuard::unlocked(state, || self.dict().writes_of(collected));
        let commit = match writes {
            Ok(writes) => MutexGuard::unlocked(state, || draft.into_commit(self.batching, writes)),
            Err(why) => {
                self.break_off(state, link, why.to_string());
                return false;
            }
        };
        self.send(state, link, commit);
        true
    }

    fn send(&self, state: &mut MutexGuard<'_, State>, link: &dyn Link, commit: Commit) {
        let want = state.want(self.batching.in_flight());
        state.sending.stage = Stage::UnderWay;
        let sent = MutexGuard::unlocked(state, || link.commit(self.seat, commit, want));
        state.sending.sent(sent);
        self.notify();
    }

    /// The dict cannot be made whole.
    #[cold]
    fn break_off(&self, state: &mut MutexGuard<'_, State>, link: &dyn Link, why: String) {
        state.broken = true;
        state.sending.end();
        MutexGuard::unlocked(state, || link.broken(why));
        self.notify();
    }

    /// Applies the answer that has come to the last commit.
    pub(super) fn apply_answer(&self, state: &mut MutexGuard<'_, State>, link: &dyn Link) {
        let Some((mut commit, reply)) = state.sending.take_reply() else { return };
        let rebased = MutexGuard::unlocked(state, || match reply {
            Reply::Committed => {
                self.dict().committed();
                Ok(None)
            }
            Reply::Lost => {
                log::warn!("worker {}: a lease is lost, its tasks run elsewhere", self.worker);
                self.dict().lost();
                Ok(None)
            }
            Reply::Conflict(conflict) => self.dict().rebase(conflict.entries).map(Some),
        });
        match rebased {
            Ok(None) => {
                state.sending.end();
                self.notify();
            }
            Ok(Some(writes)) => {
                commit.writes = writes;
                self.send(state, link, commit);
            }
            Err(why) => self.break_off(state, link, why.to_string()),
        }
    }

    /// A commit was answered.
    pub(super) fn answered(&self, token: Token, reply: Reply) {
        let mut state = self.lock();
        let lost = matches!(reply, Reply::Lost);
        if state.sending.answer(token, reply) && lost {
            let successor = state.sending.undecided();
            state.lease.lost |= successor.is_some() && successor == state.lease.token;
        }
        drop(state);
        self.notify();
    }
}
