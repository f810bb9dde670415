//! What one worker has merged and is not joined yet.

use std::{any::Any, mem, sync::Arc};

use crossbeam_utils::CachePadded;

use super::{
    Dict, Key, KeyId, KeyMap, Merge, Value,
    delta::{Delta, Merged},
    erased::Erased,
    types::Types,
};
use crate::sync::{
    AtomicU64, Barrier, Ordering,
    biased::{Owner, Visitor, biased},
};

/// How many attempts a worker has brought to an end: the number of the one that runs, counted from 0.
///
/// Written by the worker alone, seen by all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts(Arc<CachePadded<AtomicU64>>);

impl Attempts {
    /// Acquire: a thread that sees that an attempt has ended sees what it has done.
    pub(crate) fn ended(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn running(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn end(&self) {
        self.0.store(self.running() + 1, Ordering::Release);
    }
}

/// A worker's own side: where its handlers merge.
///
/// A merge commits with its task without a visit here: it waits as *pending*, marked with the number
/// of the attempt, and belongs to the truth as soon as the worker has gone on to another attempt. A
/// failed attempt takes its pending merges back before it ends.
#[derive(Debug)]
pub(crate) struct Merges {
    partial: Owner<Partials>,
    attempts: Attempts,
    types: Arc<Types>,
}

/// The side of the one that joins: the holder of the dict's lock.
#[derive(Debug)]
pub(crate) struct Joiner {
    partial: Visitor<Partials>,
    attempts: Attempts,
}

/// By key, a `Typed<V>` of the key's `V`.
#[derive(Debug, Default)]
struct Partials(KeyMap<Erased<dyn Partial>>);

/// Makes both sides for one worker.
pub(super) fn merges(
    barrier: Barrier,
    attempts: &Attempts,
    types: &Arc<Types>,
) -> (Merges, Joiner) {
    let (owner, visitor) = biased(barrier, Partials::default());
    let joiner = Joiner { partial: visitor, attempts: attempts.clone() };
    (Merges { partial: owner, attempts: attempts.clone(), types: Arc::clone(types) }, joiner)
}

impl Merges {
    /// Merges `value` into the entry, on behalf of the running attempt.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn merge<V: Value + Merge>(&mut self, key: Key<V>, value: V) {
        let attempt = self.attempts.running();
        let new = self.partial.with(|partial| match partial.typed(key) {
            Some(typed) => {
                typed.add(attempt, value);
                None
            }
            None => Some(value),
        });
        if let Some(value) = new {
            self.merge_first(key, attempt, value);
        }
    }

    /// The worker's first merge into this entry.
    ///
    /// # Panics
    ///
    /// When the key is known with another type, as it is if the entry is there and has that.
    #[cold]
    #[track_caller]
    fn merge_first<V: Value + Merge>(&mut self, key: Key<V>, attempt: u64, value: V) {
        self.types.register_merged::<V>(key.id());
        let typed = Typed { key, committed: None, pending: Some(value), attempt, broken: false };
        let slot = Erased::<dyn Partial>::new(typed, |typed| typed);
        self.partial.with(|partial| _ = partial.0.add(key.id(), slot));
    }

    /// Ends the running attempt: what it has merged is true from now on.
    ///
    /// Must come before its follow-ups are published: a worker that runs one of them sees the merges.
    #[inline(always)]
    pub(crate) fn end_attempt(&self) {
        self.attempts.end();
    }

    /// Makes true what the running attempt has merged so far, although it goes on.
    pub(crate) fn commit_pending(&mut self) {
        self.partial
            .with(|partial| partial.0.iter_mut().for_each(|(_, slot)| slot.commit_pending()));
    }

    /// Whether an entry has lost something because a merge panicked.
    pub(crate) fn is_broken(&mut self) -> bool {
        self.partial.with(|partial| partial.broken().next().is_some())
    }

    /// Takes back what the running attempt has merged; returns it to be dropped.
    pub(crate) fn discard(&mut self) -> Vec<Box<dyn Any>> {
        let attempt = self.attempts.running();
        self.partial.with(|partial| partial.take_pending(attempt))
    }
}

impl Joiner {
    /// Moves everything that is committed into `dict`.
    ///
    /// # Panics
    ///
    /// When a merge of the program does; what it was merging is lost and its entry
    /// [broken](Joiner::broken).
    pub(super) fn join_into(&self, dict: &mut Dict) {
        self.partial.with(|partial| {
            // The worker cannot be inside `merge` now: what is pending is of this attempt or older.
            let running = self.attempts.ended();
            for (_, slot) in partial.0.iter_mut() {
                slot.join_into(dict, running);
            }
        });
    }
}

impl Joiner {
    /// Takes what is committed out of one entry. None of the program's code runs.
    pub(super) fn take(&self, key: KeyId) -> Option<Box<dyn Delta>> {
        self.partial.with(|partial| {
            let running = self.attempts.ended();
            partial.0.get_mut(key)?.take(running)
        })
    }

    /// Moves what is committed to the end of `deltas`, entry by entry, and then adds the
    /// [broken](Joiner::broken) entries: one visit, because each has its price. None of the program's
    /// code runs.
    pub(super) fn take_all(
        &self,
        deltas: &mut Vec<Box<dyn Delta>>,
        broken: &mut Vec<&'static str>,
    ) {
        self.partial.with(|partial| {
            let running = self.attempts.ended();
            deltas.extend(partial.0.iter_mut().filter_map(|(_, slot)| slot.take(running)));
            broken.extend(partial.broken());
        });
    }

    /// Forgets everything that was not taken, as if it had never been merged; returns it to be
    /// dropped.
    pub(super) fn forget(&self) -> Vec<Box<dyn Any>> {
        self.partial.with(|partial| {
            partial.0.iter_mut().flat_map(|(_, slot)| slot.forget()).flatten().collect()
        })
    }
}

impl Joiner {
    /// Whether there is nothing to be taken; false also if its worker is about to merge.
    pub(super) fn has_nothing(&self) -> bool {
        let running = self.attempts.ended();
        let looked = self
            .partial
            .try_with(|partial| partial.0.iter_mut().all(|(_, slot)| !slot.is_committed(running)));
        looked.unwrap_or(false)
    }

    /// The entries that have lost something because a merge panicked.
    pub(super) fn broken(&self) -> Vec<&'static str> {
        self.partial.with(|partial| partial.broken().collect())
    }
}

impl Partials {
    /// The entry, if it is there and of this type.
    #[inline(always)]
    fn typed<V: Value + Merge>(&mut self, key: Key<V>) -> Option<&mut Typed<V>> {
        let slot = self.0.get_mut(key.id())?;
        if slot.is::<Typed<V>>() { slot.get_mut() } else { None }
    }

    fn broken(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter(|(_, slot)| slot.is_broken()).map(|(key, _)| key.name)
    }

    fn take_pending(&mut self, attempt: u64) -> Vec<Box<dyn Any>> {
        self.0.iter_mut().filter_map(|(_, slot)| slot.take_pending(attempt)).collect()
    }
}

/// One entry, whatever its type.
trait Partial: Send + std::fmt::Debug {
    fn commit_pending(&mut self);
    fn join_into(&mut self, dict: &mut Dict, running: u64);
    fn take_pending(&mut self, attempt: u64) -> Option<Box<dyn Any>>;
    fn take(&mut self, running: u64) -> Option<Box<dyn Delta>>;
    fn forget(&mut self) -> [Option<Box<dyn Any>>; 2];
    fn is_broken(&self) -> bool;
    fn is_committed(&self, running: u64) -> bool;
}

struct Typed<V> {
    key: Key<V>,
    committed: Option<V>,
    pending: Option<V>,
    /// The attempt that merged what is pending.
    attempt: u64,
    /// Whether a merge has panicked on values of attempts that had ended well.
    broken: bool,
}

/// Breaks an entry unless it is forgotten: a merge that panics loses what it was merging.
struct Breaks<'a>(&'a mut bool);

impl Drop for Breaks<'_> {
    fn drop(&mut self) {
        *self.0 = true;
    }
}

impl<V: Merge> Typed<V> {
    #[inline(always)]
    fn add(&mut self, attempt: u64, value: V) {
        match &mut self.pending {
            Some(pending) if self.attempt == attempt => pending.merge(value),
            pending => {
                let done = pending.replace(value);
                self.attempt = attempt;
                self.commit(done);
            }
        }
    }
}

impl<V: Merge> Typed<V> {
    /// Adds the value of an attempt that ended well.
    #[inline(always)]
    fn commit(&mut self, done: Option<V>) {
        let breaks = Breaks(&mut self.broken);
        match (&mut self.committed, done) {
            (Some(committed), Some(done)) => committed.merge(done),
            (committed, Some(done)) => *committed = Some(done),
            (_, None) => {}
        }
        mem::forget(breaks);
    }
}

impl<V: Value + Merge> Partial for Typed<V> {
    fn commit_pending(&mut self) {
        let done = self.pending.take();
        self.commit(done);
    }

    fn is_broken(&self) -> bool {
        self.broken
    }

    fn is_committed(&self, running: u64) -> bool {
        self.committed.is_some() || (self.pending.is_some() && self.attempt < running)
    }

    fn join_into(&mut self, dict: &mut Dict, running: u64) {
        if self.attempt < running {
            self.commit_pending();
        }
        if let Some(value) = self.committed.take() {
            let breaks = Breaks(&mut self.broken);
            dict.merge(self.key, value);
            mem::forget(breaks);
        }
    }

    fn take_pending(&mut self, attempt: u64) -> Option<Box<dyn Any>> {
        if self.attempt != attempt {
            return None;
        }
        Some(Box::new(self.pending.take()?))
    }

    fn take(&mut self, running: u64) -> Option<Box<dyn Delta>> {
        let ended = if self.attempt < running { self.pending.take() } else { None };
        let (first, second) = match self.committed.take() {
            Some(committed) => (committed, ended),
            None => (ended?, None),
        };
        Some(Box::new(Merged::new(self.key, first, second)))
    }

    fn forget(&mut self) -> [Option<Box<dyn Any>>; 2] {
        self.broken = false;
        [self.committed.take(), self.pending.take()].map(|value| Some(Box::new(value?) as _))
    }
}

impl<V> std::fmt::Debug for Typed<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typed").field("key", &self.key).finish_non_exhaustive()
    }
}
