//! What a broker must do, written down a second time: slowly, in lists, and without a thought for
//! anything but the contract.

use std::collections::BTreeMap;

use super::*;
use crate::broker::{DeadLetter, MOST_CRASHES, MOST_INTERRUPTIONS};

/// A run as it should be. Times are in fifths of a lease.
#[derive(Default)]
pub(super) struct Model {
    now: u32,
    queued: Vec<Batch>,
    out: Vec<Out>,
    waiting: Vec<Token>,
    /// Who wants the lock, the holder first.
    line: Vec<Token>,
    pinned: Vec<String>,
    dict: BTreeMap<String, Entry>,
    outcome: Outcome,
}

struct Out {
    lease: Lease,
    ends: u32,
}

/// What the contract leaves open: which of the batches of one priority are leased.
pub(super) enum Expected {
    Exactly(Step),
    /// A batch for each of these tokens (those that are there are out already), and so many that wait.
    Leases(Vec<(Token, Option<Batch>)>, usize),
}

impl Model {
    pub(super) fn new(first: &[Batch]) -> Self {
        Self { queued: first.to_vec(), ..Self::default() }
    }

    /// The leases that are out.
    pub(super) fn tokens(&self) -> Vec<Token> {
        self.out.iter().map(|out| out.lease.token).collect()
    }

    /// Who holds the lock.
    pub(super) fn holder(&self) -> Option<Token> {
        self.line.first().copied()
    }

    fn position(&self, token: Token) -> Option<usize> {
        self.out.iter().position(|out| out.lease.token == token)
    }

    fn add(&mut self, lease: Lease) {
        self.out.push(Out { lease, ends: self.now + 5 });
    }

    fn end(&mut self, at: usize) -> Batch {
        let Lease { token, batch } = self.out.remove(at).lease;
        if self.line.first() == Some(&token) {
            self.pinned.clear();
        }
        self.line.retain(|&it| it != token);
        batch
    }

    fn entry(&self, key: &str) -> Entry {
        self.dict.get(key).cloned().unwrap_or_else(|| entry(key, 0, None))
    }

    pub(super) fn version(&self, key: &str) -> u64 {
        self.entry(key).version
    }

    pub(super) fn step(&mut self, commit: Option<&Commit>, want: &[Token]) -> Expected {
        if let Some(commit) = commit {
            let Some(at) = self.position(commit.token) else {
                return Expected::Exactly(Step::Lost);
            };
            let mine = self.line.first() == Some(&commit.token);
            let locked = !mine && commit.writes.iter().any(|it| self.pinned.contains(&it.key));
            let mut entries: Vec<_> =
                commit.writes.iter().map(|it| (it.version, self.entry(&it.key))).collect();
            entries.retain(|(version, entry)| *version != entry.version);
            if locked || !entries.is_empty() {
                let entries = entries.into_iter().map(|(_, entry)| entry).collect();
                return Expected::Exactly(Step::Conflict(Conflict { entries, locked }));
            }
            self.end(at);
            self.apply(commit);
        }
        self.take(want)
    }

    fn apply(&mut self, commit: &Commit) {
        for write in &commit.writes {
            let version = self.entry(&write.key).version + 1;
            self.dict.insert(write.key.clone(), entry(&write.key, version, write.value.clone()));
        }
        self.outcome.posted += commit.posted;
        for more in &commit.labels {
            let labels = &mut self.outcome.labels;
            match labels.iter_mut().find(|it| it.label == more.label) {
                Some(label) => {
                    label.finished += more.finished;
                    label.dead += more.dead;
                }
                None => labels.push(more.clone()),
            }
        }
        self.outcome.dead.extend(commit.dead.iter().cloned());
        self.queued.extend(commit.posts.iter().filter(|batch| !batch.tasks.is_empty()).cloned());
        commit.successor.iter().for_each(|kept| self.add(kept.clone()));
    }

    fn take(&mut self, want: &[Token]) -> Expected {
        let mut batches = self.queued.len();
        let mut leases = Vec::new();
        for &token in want {
            self.waiting.retain(|&it| it != token);
            match self.position(token) {
                Some(at) => leases.push((token, Some(self.out[at].lease.batch.clone()))),
                None if batches > 0 => {
                    batches -= 1;
                    leases.push((token, None));
                }
                None => {}
            }
        }
        if !leases.is_empty() {
            return Expected::Leases(leases, self.waiting.len());
        }
        if self.is_over() {
            return Expected::Exactly(Step::Done);
        }
        self.waiting.extend(want.first());
        Expected::Exactly(Step::Empty(self.waiting.len()))
    }

    /// The broker has chosen this batch for `token`. Whether it may.
    pub(super) fn leased(&mut self, lease: &Lease) -> bool {
        let rank = |batch: &Batch| match batch.priority {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        };
        let best = self.queued.iter().map(rank).min();
        let is_it = |batch: &Batch| *batch == lease.batch && Some(rank(batch)) == best;
        let Some(at) = self.queued.iter().position(is_it) else { return false };
        self.queued.remove(at);
        self.add(lease.clone());
        true
    }

    fn is_over(&self) -> bool {
        self.queued.is_empty() && self.out.is_empty()
    }

    pub(super) fn lock(&mut self, token: Token) -> Lock {
        if self.position(token).is_none() {
            return Lock::Lost;
        }
        if !self.line.contains(&token) {
            self.line.push(token);
        }
        if self.line[0] == token { Lock::Held } else { Lock::Busy }
    }

    pub(super) fn read(&mut self, token: Token, key: &str, known: u64) -> Read {
        if self.position(token).is_none() {
            return Read::Lost;
        }
        if self.line.first() == Some(&token) {
            self.pinned.push(key.to_owned());
        }
        let entry = self.entry(key);
        if known > 0 && known == entry.version { Read::Unchanged } else { Read::Entry(entry) }
    }

    pub(super) fn renew(&mut self, tokens: &[Token]) -> Vec<Token> {
        let ends = self.now + 5;
        for out in &mut self.out {
            if tokens.contains(&out.lease.token) {
                out.ends = ends;
            }
        }
        tokens.iter().copied().filter(|&token| self.position(token).is_none()).collect()
    }

    pub(super) fn release(&mut self, token: Token, why: Release) {
        self.waiting.retain(|&it| it != token);
        let Some(at) = self.position(token) else { return };
        let batch = self.end(at);
        match why {
            Release::Crashed => self.crash(&batch),
            Release::Interrupted => self.interrupt(&batch),
            Release::Unstarted if batch.tasks.is_empty() => {}
            Release::Unstarted => self.queued.push(batch),
        }
    }

    fn crash(&mut self, batch: &Batch) {
        self.outcome.returned += 1;
        for task in tasks(batch) {
            let crashes = if batch.suspect { batch.crashes + 1 } else { batch.crashes };
            if batch.suspect && crashes >= MOST_CRASHES {
                self.outcome.crashed += 1;
                let letter = DeadLetter { task: Bytes(task), ..DeadLetter::default() };
                self.outcome.dead.push(letter);
            } else {
                self.queued.push(Batch {
                    priority: batch.priority,
                    attempt: batch.attempt + 1,
                    suspect: true,
                    crashes,
                    tasks: Tasks::one(&task),
                    ..*batch
                });
            }
        }
    }

    fn interrupt(&mut self, batch: &Batch) {
        self.outcome.returned += 1;
        let (attempt, interruptions) = (batch.attempt + 1, batch.interruptions + 1);
        let tasks = tasks(batch);
        let allowed = if tasks.len() == 1 { MOST_INTERRUPTIONS } else { MOST_INTERRUPTIONS / 2 };
        match &tasks[..] {
            [] => {}
            _ if interruptions <= allowed => {
                self.queued.push(Batch { attempt, interruptions, ..batch.clone() });
            }
            [task] => {
                self.outcome.crashed += 1;
                let task = Bytes(task.clone());
                self.outcome.dead.push(DeadLetter { task, interruptions, ..DeadLetter::default() });
            }
            several => {
                let single = |task: &Vec<u8>| Batch {
                    attempt,
                    interruptions,
                    tasks: Tasks::one(task),
                    ..*batch
                };
                self.queued.extend(several.iter().map(single));
            }
        }
    }

    pub(super) fn advance(&mut self, fifths: u32) {
        self.now += fifths;
        while let Some(at) = self.out.iter().position(|out| out.ends <= self.now) {
            let batch = self.end(at);
            self.interrupt(&batch);
        }
    }

    /// What is to be seen, but for the number of changes.
    pub(super) fn look(&mut self) -> Status {
        if self.is_over() {
            self.waiting.clear();
        }
        Status {
            seen: 0,
            waiting: self.waiting.len(),
            lock_waiting: self.line.len().saturating_sub(1),
            queued: self.queued.len(),
            crashed: self.outcome.crashed,
            done: self.is_over(),
        }
    }

    /// The outcome, with the dead in no order: who dies together dies in any.
    pub(super) fn outcome(&self) -> Outcome {
        let entries = self.dict.values().filter(|entry| entry.value.is_some()).cloned().collect();
        let batches = self.queued.iter().chain(self.out.iter().map(|out| &out.lease.batch));
        let left = batches.map(|batch| batch.tasks.len() as u64).sum();
        let mut outcome = Outcome { entries, left, ..self.outcome.clone() };
        outcome.labels.sort_by(|one, other| one.label.cmp(&other.label));
        sort_dead(&mut outcome);
        outcome
    }
}

/// Puts the dead into an order of their own.
pub(super) fn sort_dead(outcome: &mut Outcome) {
    outcome.dead.sort_by(|one, other| one.task.0.cmp(&other.task.0));
}
