//! What is true at one moment, and how each call changes it.

use std::{collections::HashSet, time::Duration};

use super::{entries::Entries, leases::Leases, ledger::Ledger, queue::Queue};
use crate::{
    Bytes, Order,
    broker::{
        Batch, BrokerError, Commit, DeadLetter, Lease, Lock, MOST_CRASHES, MOST_INTERRUPTIONS,
        Malformed, Outcome, Read, Release, Status, Step, Tasks, Token,
    },
};

/// A run.
pub(super) struct State {
    queue: Queue,
    leases: Leases,
    /// The tokens of workers that have asked in vain.
    waiting: HashSet<Token>,
    dict: Entries,
    ledger: Ledger,
    most_interruptions: u32,
    /// How often `shown` has changed; starts at 1, since who has seen nothing says 0.
    changes: u64,
    shown: Shown,
}

/// What those who watch are woken for.
#[derive(PartialEq, Eq)]
struct Shown {
    waiting: usize,
    lock_holder: Option<Token>,
    lock_waiting: usize,
    /// Not how many: who waits for a batch has seen none, so the first one that stays is news.
    queued: bool,
    done: bool,
}

impl State {
    pub(super) fn new(lease: Duration, order: Order, first: Vec<Batch>) -> Self {
        let mut queue = Queue::new(order);
        first.into_iter().for_each(|batch| queue.push(batch));
        let shown = Shown {
            waiting: 0,
            lock_holder: None,
            lock_waiting: 0,
            queued: queue.len() > 0,
            done: queue.len() == 0,
        };
        Self {
            queue,
            leases: Leases::new(lease),
            waiting: HashSet::new(),
            dict: Entries::default(),
            ledger: Ledger::default(),
            most_interruptions: MOST_INTERRUPTIONS,
            changes: 1,
            shown,
        }
    }

    pub(super) fn allow_interruptions(&mut self, most: u32) {
        self.most_interruptions = most;
    }

    /// Tells the time: leases that are over by it come back.
    pub(super) fn pass_to(&mut self, now: Duration) {
        // What comes back last is the next: that of the lease that was taken first.
        for token in self.leases.pass_to(now).into_iter().rev() {
            self.end(token, Some(Release::Interrupted));
        }
    }

    pub(super) fn next_expiry(&self) -> Duration {
        self.leases.next_expiry()
    }

    pub(super) fn step(
        &mut self,
        commit: Option<&Commit>,
        want: &[Token],
    ) -> Result<Step, BrokerError> {
        if let Some(commit) = commit {
            if let Some(refusal) = self.refusal(commit)? {
                return Ok(refusal);
            }
            self.apply(commit);
        }
        // A lease under the token that was just committed could be ended by that commit, sent again.
        let mut seen: HashSet<Token> = commit.map(|commit| commit.token).into_iter().collect();
        let want: Vec<Token> = want.iter().copied().filter(|&token| seen.insert(token)).collect();
        Ok(self.take(&want))
    }

    /// What `commit` is answered if it cannot be applied.
    fn refusal(&self, commit: &Commit) -> Result<Option<Step>, BrokerError> {
        if !self.leases.holds(commit.token) {
            return Ok(Some(Step::Lost));
        }
        // Also under its own one: the commit, sent again, would find a lease.
        if commit.successor.as_ref().is_some_and(|kept| self.leases.holds(kept.token)) {
            return Err(BrokerError::new("a lease must go on under a token that is not in use"));
        }
        Ok(self.dict.conflict(commit.token, &commit.writes).map(Step::Conflict))
    }

    fn apply(&mut self, commit: &Commit) {
        self.end(commit.token, None);
        self.ledger.add(commit);
        commit.writes.iter().for_each(|write| self.dict.write(write));
        let posts = commit.posts.iter().filter(|batch| !batch.tasks.is_empty());
        posts.for_each(|batch| self.queue.push(batch.clone()));
        if let Some(kept) = &commit.successor {
            self.waiting.remove(&kept.token);
            self.leases.insert(kept.token, kept.batch.clone());
        }
    }

    /// Leases a batch for each token of `want`, as far as there are batches.
    fn take(&mut self, want: &[Token]) -> Step {
        let leased: Vec<Lease> = want.iter().filter_map(|&token| self.lease(token)).collect();
        if !leased.is_empty() {
            return Step::Leased(leased, self.waiting.len());
        }
        if self.is_over() {
            self.waiting.clear();
            return Step::Done;
        }
        self.waiting.extend(want.first());
        Step::Empty(self.waiting.len())
    }

    /// The lease under `token`: the one that is out, or else a new one, if there is a batch.
    fn lease(&mut self, token: Token) -> Option<Lease> {
        self.waiting.remove(&token);
        if let Some(batch) = self.leases.batch(token) {
            return Some(Lease { token, batch: batch.clone() });
        }
        let batch = self.queue.pop()?;
        self.leases.insert(token, batch.clone());
        Some(Lease { token, batch })
    }

    fn is_over(&self) -> bool {
        self.queue.len() == 0 && self.leases.is_empty()
    }

    pub(super) fn lock(&mut self, token: Token) -> Lock {
        if !self.leases.holds(token) {
            return Lock::Lost;
        }
        self.dict.lock(token)
    }

    pub(super) fn read(&mut self, token: Token, key: &str, known: u64) -> Read {
        if !self.leases.holds(token) {
            return Read::Lost;
        }
        let entry = self.dict.read(token, key);
        if known != 0 && entry.version == known { Read::Unchanged } else { Read::Entry(entry) }
    }

    pub(super) fn renew(&mut self, tokens: &[Token]) -> Vec<Token> {
        tokens.iter().copied().filter(|&token| !self.leases.renew(token)).collect()
    }

    pub(super) fn release(&mut self, token: Token, why: Release) {
        self.waiting.remove(&token);
        self.end(token, Some(why));
    }

    /// Ends a lease, if there is one, and its hold on the lock. Unless it was committed, its batch
    /// comes back.
    fn end(&mut self, token: Token, why: Option<Release>) {
        let Some(batch) = self.leases.remove(token) else { return };
        self.dict.unlock(token);
        match why {
            None => {}
            Some(Release::Unstarted) if batch.tasks.is_empty() => {}
            Some(Release::Unstarted) => self.queue.push_next(batch),
            Some(Release::Interrupted) => {
                self.ledger.count_returned();
                self.take_back_interrupted(batch);
            }
            Some(Release::Crashed) => {
                self.ledger.count_returned();
                self.take_back_crashed(batch);
            }
        }
    }

    /// Takes back what may have killed a worker: tasks one by one. A suspect has killed it, and perhaps
    /// too many.
    fn take_back_crashed(&mut self, batch: Batch) {
        let Ok(tasks) = singles(&batch) else {
            return self.bury(batch.tasks.len(), batch.tasks.into_bytes(), 0);
        };
        let crashes = batch.crashes.saturating_add(u32::from(batch.suspect));
        let attempt = batch.attempt.saturating_add(1);
        for task in tasks {
            if batch.suspect && crashes >= MOST_CRASHES {
                self.bury(1, Bytes(task.to_vec()), 0);
                continue;
            }
            let single =
                Batch { attempt, suspect: true, crashes, tasks: Tasks::one(task), ..batch };
            match batch.suspect {
                true => self.queue.push_next(single),
                false => self.queue.push(single),
            }
        }
    }

    /// Takes back what has not killed its worker, as far as is known; but not for ever.
    fn take_back_interrupted(&mut self, batch: Batch) {
        let most = self.most_interruptions;
        let attempt = batch.attempt.saturating_add(1);
        let interruptions = batch.interruptions.saturating_add(1);
        match batch.tasks.len() {
            0 => {}
            1 if interruptions > most => match singles(&batch) {
                Ok(tasks) => self.bury(1, Bytes(tasks[0].to_vec()), interruptions),
                Err(Malformed) => self.bury(1, batch.tasks.into_bytes(), interruptions),
            },
            2.. if interruptions > most / 2 => {
                let Ok(tasks) = singles(&batch) else {
                    return self.bury(batch.tasks.len(), batch.tasks.into_bytes(), interruptions);
                };
                let interruptions = interruptions.min(most);
                // The last one is the next.
                for task in tasks.into_iter().rev() {
                    let tasks = Tasks::one(task);
                    self.queue.push_next(Batch { attempt, interruptions, tasks, ..batch });
                }
            }
            _ => self.queue.push_next(Batch { attempt, interruptions, ..batch }),
        }
    }

    fn bury(&mut self, tasks: usize, task: Bytes, interruptions: u32) {
        let letter = DeadLetter { task, interruptions, ..DeadLetter::default() };
        self.ledger.count_crashed(tasks, &letter);
    }

    /// Counts a change if there is one, and says so.
    pub(super) fn note_change(&mut self) -> bool {
        if self.is_over() {
            self.waiting.clear();
        }
        let shown = Shown {
            waiting: self.waiting.len(),
            lock_holder: self.dict.holder(),
            lock_waiting: self.dict.lock_waiting(),
            queued: self.queue.len() > 0,
            done: self.is_over(),
        };
        let changed = shown != self.shown;
        self.changes += u64::from(changed);
        self.shown = shown;
        changed
    }

    pub(super) fn watched(&self) -> Status {
        Status {
            seen: self.changes,
            waiting: self.waiting.len(),
            lock_waiting: self.dict.lock_waiting(),
            queued: self.queue.len(),
            crashed: self.ledger.crashed(),
            done: self.is_over(),
        }
    }

    pub(super) fn describe(&self) -> String {
        let Self { waiting, leases, dict, .. } = self;
        format!("{:?}\nwaiting: {waiting:?}\nlock: {dict:?}\nleases: {leases:#?}\n", self.watched())
    }

    pub(super) fn outcome(&self) -> Outcome {
        let tasks =
            self.queue.iter().chain(self.leases.batches()).map(|batch| batch.tasks.len() as u64);
        let left = tasks.fold(0, u64::saturating_add);
        Outcome { left, entries: self.dict.all(), ..self.ledger.outcome() }
    }
}

/// The tasks of a batch one by one.
fn singles(batch: &Batch) -> Result<Vec<&[u8]>, Malformed> {
    // What claims to be empty has no tasks, whatever its bytes are.
    if batch.tasks.is_empty() { Ok(Vec::new()) } else { batch.tasks.iter().collect() }
}
