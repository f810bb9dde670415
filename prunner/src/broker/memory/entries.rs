//! The dict and its lock.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    fmt,
};

use crate::broker::{Conflict, Encoded, Entry, Lock, Token, Write};

/// The entries of the dict, and who may write them.
#[derive(Default)]
pub(super) struct Entries {
    /// Those without a value were taken out: their versions go on.
    entries: BTreeMap<String, Versioned>,
    holder: Option<Token>,
    /// Who waits for the lock, longest first. Nobody waits while it is free.
    waiters: VecDeque<Token>,
    /// What the holder has read.
    pinned: HashSet<String>,
}

#[derive(Default)]
struct Versioned {
    version: u64,
    value: Option<Encoded>,
}

/// The lock, for [`describe`](crate::broker::Broker::describe).
impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("holder", &self.holder)
            .field("waiters", &self.waiters)
            .field("pinned", &self.pinned)
            .finish_non_exhaustive()
    }
}

impl Entries {
    pub(super) fn holder(&self) -> Option<Token> {
        self.holder
    }

    pub(super) fn lock_waiting(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn lock(&mut self, token: Token) -> Lock {
        if *self.holder.get_or_insert(token) == token {
            return Lock::Held;
        }
        if !self.waiters.contains(&token) {
            self.waiters.push_back(token);
        }
        Lock::Busy
    }

    /// The lease ends: it no longer holds the lock nor waits for it.
    pub(super) fn unlock(&mut self, token: Token) {
        if self.holder == Some(token) {
            self.pinned.clear();
            self.holder = self.waiters.pop_front();
        } else {
            self.waiters.retain(|&waiter| waiter != token);
        }
    }

    pub(super) fn read(&mut self, token: Token, key: &str) -> Entry {
        if self.holder == Some(token) && !self.pinned.contains(key) {
            self.pinned.insert(key.to_owned());
        }
        self.entry(key)
    }

    /// Why `token` cannot write this, if it cannot.
    pub(super) fn conflict(&self, token: Token, writes: &[Write]) -> Option<Conflict> {
        let mine = self.holder == Some(token);
        let locked = !mine && writes.iter().any(|write| self.pinned.contains(&write.key));
        let stale = writes.iter().filter(|write| self.version(&write.key) != write.version);
        // Each entry once, however often it is written: the answer is no larger than the dict.
        let mut seen = HashSet::new();
        let stale = stale.filter(|write| seen.insert(&write.key));
        let entries: Vec<_> = stale.map(|write| self.entry(&write.key)).collect();
        (locked || !entries.is_empty()).then_some(Conflict { entries, locked })
    }

    pub(super) fn write(&mut self, write: &Write) {
        let entry = self.entries.entry(write.key.clone()).or_default();
        entry.version += 1;
        entry.value.clone_from(&write.value);
    }

    /// Those that have a value.
    pub(super) fn all(&self) -> Vec<Entry> {
        let there = self.entries.iter().filter(|(_, entry)| entry.value.is_some());
        there.map(|(key, _)| self.entry(key)).collect()
    }

    pub(super) fn version(&self, key: &str) -> u64 {
        self.entries.get(key).map_or(0, |entry| entry.version)
    }

    fn entry(&self, key: &str) -> Entry {
        let value = self.entries.get(key).and_then(|entry| entry.value.clone());
        Entry { key: key.to_owned(), version: self.version(key), value }
    }
}
