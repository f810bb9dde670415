//! What must happen while handlers run: answers of the broker, renewals, and giving away what waits
//! behind a long handler.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Desk, Link,
    desk::{Phase, State},
};
use crate::{
    broker::{Conflict, Lease, Lock, Read, Release, Token},
    task::Labeled,
};

/// How long a handler runs before what waits behind it is given to those who have nothing to do. Before
/// that its worker does it, between two tasks.
const PATIENCE: Duration = Duration::from_millis(1);

/// The keeper of all workers of a process. It runs on a thread of its own, which reads what the broker
/// answers.
pub(crate) struct Keeper<T> {
    desks: Vec<(Arc<Desk<T>>, Watch)>,
    link: Arc<dyn Link>,
    /// How often leases are renewed, and when they were last.
    every: Duration,
    renewed: Instant,
    /// How long a handler may run.
    most: Option<Duration>,
}

/// What the keeper saw when it last looked at a worker.
#[derive(Debug)]
struct Watch {
    started: u64,
    since: Instant,
}

impl<T: Labeled + Serialize + DeserializeOwned> Keeper<T> {
    pub(crate) fn new(
        desks: Vec<Arc<Desk<T>>>,
        link: Arc<dyn Link>,
        lease: Duration,
        most: Option<Duration>,
    ) -> Self {
        let now = Instant::now();
        let watched = |desk| (desk, Watch { started: 0, since: now });
        let desks = desks.into_iter().map(watched).collect();
        Self { desks, link, every: lease / 3, renewed: now, most }
    }

    fn desk(&self, seat: u16) -> Option<&Desk<T>> {
        self.desks.get(usize::from(seat)).map(|(desk, _)| &**desk)
    }

    /// Leases have come.
    pub(crate) fn leased(&self, seat: u16, leases: Vec<Lease>) {
        let Some(desk) = self.desk(seat) else { return };
        let mut state = desk.lock();
        let going = state.phase == Phase::Going;
        for lease in leases {
            if going {
                state.receive(lease);
            } else {
                self.link.release(seat, lease.token, Release::Unstarted);
            }
        }
        drop(state);
        desk.notify();
    }

    /// A commit was applied.
    pub(crate) fn committed(&self, seat: u16, token: Token) {
        let Some(desk) = self.desk(seat) else { return };
        let mut state = desk.lock();
        if state.under_way.take_if(|commit| commit.token == token).is_some() {
            desk.dict().committed();
        }
        drop(state);
        desk.notify();
    }

    /// A commit was refused because its lease is gone.
    pub(crate) fn lost(&self, seat: u16, token: Token) {
        let Some(desk) = self.desk(seat) else { return };
        let mut state = desk.lock();
        if let Some(commit) = state.under_way.take_if(|commit| commit.token == token) {
            log::warn!("worker {}: a lease is lost, its tasks run elsewhere", desk.worker);
            desk.dict().lost();
            let kept = commit.keep.is_some_and(|keep| Some(keep.token) == state.token);
            state.lost |= kept;
        }
        drop(state);
        desk.notify();
    }

    /// A commit was based on entries that others have written meanwhile.
    pub(crate) fn conflict(&self, seat: u16, token: Token, conflict: Conflict) {
        let Some(desk) = self.desk(seat) else { return };
        let mut state = desk.lock();
        if let Some(mut commit) = state.under_way.take_if(|commit| commit.token == token) {
            match desk.dict().rebase(conflict.entries) {
                Ok(writes) => {
                    commit.writes = writes;
                    state.under_way = self.link.step(seat, Some(commit), &[]);
                }
                Err(broken) => self.link.broken(broken.to_string()),
            }
        }
        drop(state);
        desk.notify();
    }

    /// The lock is held, or the lease that asked is gone.
    pub(crate) fn locked(&self, seat: u16, lock: Lock) {
        let Some(desk) = self.desk(seat) else { return };
        desk.lock().lock_answer = Some(lock);
        desk.notify();
    }

    /// An entry of the dict was read.
    pub(crate) fn read(&self, seat: u16, read: Read) {
        let Some(desk) = self.desk(seat) else { return };
        desk.lock().read_answer = Some(read);
        desk.notify();
    }

    /// Leases are gone.
    pub(crate) fn gone(&self, tokens: &[Token]) {
        for (desk, _) in &self.desks {
            desk.lock().lose(tokens);
        }
    }

    /// Others wait.
    pub(crate) fn wanted(&self, tasks: bool, lock: bool) {
        for (desk, _) in &self.desks {
            desk.tasks_wanted.fetch_or(tasks, Ordering::Relaxed);
            desk.lock_wanted.fetch_or(lock, Ordering::Relaxed);
        }
    }

    /// Says that the run is over, or is to be.
    pub(crate) fn enter(&self, phase: Phase) {
        for (desk, _) in &self.desks {
            let mut state = desk.lock();
            if state.phase == Phase::Going {
                state.phase = phase;
            }
            for token in state.empty_stash() {
                self.link.release(desk.seat, token, Release::Unstarted);
            }
            drop(state);
            desk.notify();
        }
    }

    /// Does what is due; returns after which time there will be something again.
    ///
    /// # Errors
    ///
    /// When a handler runs longer than it may: the number of its worker.
    pub(crate) fn tick(&mut self) -> Result<Duration, usize> {
        let now = Instant::now();
        let mut next = self.every;
        let mut soon = false;
        for (desk, watch) in &mut self.desks {
            let mut state = desk.lock();
            if !state.is_running() || state.started != watch.started {
                *watch = Watch { started: state.started, since: now };
            }
            let runs = now - watch.since;
            if state.is_running()
                && let Some(most) = self.most
            {
                if runs > most {
                    return Err(desk.worker);
                }
                // Half of it, because the handler may have started just after a look.
                next = next.min(most / 2);
            }
            if desk.tasks_wanted.load(Ordering::Relaxed) {
                soon |= give_away(desk, &mut state, runs, &*self.link);
            }
        }
        if soon {
            next = next.min(PATIENCE);
        }
        if now - self.renewed >= self.every {
            self.renewed = now;
            let tokens: Vec<Token> = self
                .desks
                .iter()
                .flat_map(|(desk, _)| desk.lock().tokens().collect::<Vec<_>>())
                .collect();
            if !tokens.is_empty() {
                self.link.renew(tokens);
            }
        }
        Ok(next.min(self.every.saturating_sub(now - self.renewed)).max(Duration::from_micros(100)))
    }
}

/// Gives what waits behind a handler, which runs for `runs`, to workers that have nothing. Returns whether
/// to look again soon. If not, nothing is there to be given before a lease comes or the handler ends; then
/// its worker does it, because the lease is old enough.
fn give_away<T: Labeled + Serialize + DeserializeOwned>(
    desk: &Desk<T>,
    state: &mut State<T>,
    runs: Duration,
    link: &dyn Link,
) -> bool {
    if state.token.is_none() {
        // The worker is about to take what is there.
        return state.has_stash();
    }
    for token in state.empty_stash() {
        link.release(desk.seat, token, Release::Unstarted);
    }
    if !state.is_running() || runs < PATIENCE {
        return true;
    }
    // What was written under the lock belongs to the running handler, too.
    if !state.has_surplus() || state.held || state.lost {
        return false;
    }
    if state.asking || state.under_way.is_some() {
        return true;
    }
    desk.cut(state, link);
    false
}
