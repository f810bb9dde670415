//! What a worker has of a dict whose truth is at a broker, and how that stands to the truth.

use std::{fmt, sync::Arc};

use super::{delta::Delta, key::KeyMap};
use crate::{broker, sync::AtomicBool};

/// Where a dict lives that is not in this process alone: the worker's side of a broker.
pub(crate) trait RemoteDict: Send + Sync + fmt::Debug {
    /// Waits until this worker's lease holds the lock; returns at once if it does. Unwinds when the
    /// lease is gone.
    fn lock(&self);

    /// Reads an entry if it is not at version `known` any more (0: not known). `None`: unchanged.
    /// Unwinds when the lease is gone.
    fn read(&self, key: &str, known: u64) -> Option<broker::Entry>;

    /// Applies what the broker has answered to the last commit, if this dict does not know it yet.
    fn apply_answers(&self) {}

    /// The most bytes that a value may take.
    fn most_bytes(&self) -> usize {
        usize::MAX
    }
}

/// What a dict with a home has beside its lock.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) home: Arc<dyn RemoteDict>,
    /// Whether the lock was taken since the last commit: if a [`ScopeLock`] was never dropped, this
    /// must be found without waiting for it.
    pub(super) taken: AtomicBool,
    /// Whether something was written under the lock since somebody asked.
    pub(super) touched: AtomicBool,
}

/// How the entries here stand to those at home.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    pub(super) known: KeyMap<Replica>,
    /// How often the lock was taken.
    pub(super) round: u64,
    /// Why nothing can be committed, if so.
    pub(super) broken: Option<Broken>,
}

/// How the entry here stands to the one at home.
#[derive(Debug, Default)]
pub(super) struct Replica {
    /// The version that the entry here is, or is based on; 0 for none.
    pub(super) version: u64,
    /// Whether there is a value at that version.
    pub(super) there: bool,
    /// Whether this lease has read it under the lock.
    pub(super) pinned: bool,
    /// When the lock was taken for the holder that has read and joined it last.
    pub(super) round: u64,
    /// Whether it was written, or merged into while it was pinned, since the last commit.
    pub(super) written: bool,
    /// What was merged into it since the last commit while it was not pinned.
    pub(super) deltas: Vec<Box<dyn Delta>>,
    /// Whether a merge has panicked on it.
    pub(super) spoiled: bool,
    /// Whether it is among the writes under way.
    pub(super) sent: bool,
}

impl Replica {
    pub(super) fn is_ahead(&self) -> bool {
        self.written || self.spoiled || !self.deltas.is_empty()
    }

    pub(super) fn is_now(&mut self, entry: &broker::Entry) {
        self.version = entry.version;
        self.there = entry.value.is_some();
    }

    pub(super) fn commit(&mut self, there: bool) {
        if self.sent {
            self.version += 1;
            self.there = there;
        }
        *self = Self { version: self.version, there: self.there, ..Self::default() };
    }
}

/// Why what a worker has done to the dict cannot be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(super) String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}
