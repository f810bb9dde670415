//! A dict whose truth is at a broker: what one worker has of it, and what it has to commit.
//!
//! An entry here is a copy of the one at home, of a version that is known, and may be *ahead* of it by
//! what the worker's finished tasks have merged and what was written under the lock. The worker commits
//! all of that at once:
//!
//! 1. [`writes`](SharedDict::writes) moves what finished tasks have merged into the copies, and writes
//!    down each copy that is ahead. The moved values are kept as bytes.
//! 2. If the broker answers that entries have changed, [`rebase`](SharedDict::rebase) takes them as they
//!    are now, merges the kept bytes again, and gives the writes again; as often as needed.
//! 3. [`committed`](SharedDict::committed) when they are true, also when there was none to be made:
//!    the lock is free again then. Or [`forget`](SharedDict::forget) when they never will be.
//!
//! An entry that was read under the lock is *pinned*: no other worker writes it until the commit, so it
//! cannot have changed, and no bytes are kept for it.
//!
//! Between 1 and 3 a handler may run, and merge: its merges are pending, and belong to a later
//! commit. It must not get the home's lock then; [`RemoteDict::lock`] has to see to that, and nothing of
//! this dict is locked while it waits.

use std::{
    any::Any,
    mem,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use parking_lot::MutexGuard;

use super::{
    Dict, Key, KeyId, SharedDict, Value,
    delta::Delta,
    lock::{Access, LOCK_LEAKED, LocalDict, Locked, ScopeLock, not_complete},
    replica::{Away, Broken, RemoteDict, Replica, Replicas},
};
use crate::{
    broker::{self, Encoded, Write},
    failure::{Cause, drop_quietly},
    sync::{AtomicBool, Ordering},
};

/// What finished tasks have merged, taken out of where they have merged it.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    deltas: Vec<Box<dyn Delta>>,
    /// Entries that have lost something because a merge panicked.
    broken: Vec<&'static str>,
}

impl SharedDict {
    /// The copy of a dict that lives at `home`, for one worker.
    pub(crate) fn at(home: Arc<dyn RemoteDict>) -> Self {
        let (taken, touched) = (AtomicBool::new(false), AtomicBool::new(false));
        Self::with(Some(Box::new(Away { home, taken, touched })))
    }

    /// Whether the handler that asks has the lock now.
    pub(crate) fn is_lock_held(&self) -> bool {
        self.reach().is_none()
    }

    /// Whether something was written under the lock since the last time this was asked.
    ///
    /// One by one, such writes cannot be undone: if the attempt fails that wrote them, the lease has to
    /// start again.
    pub(crate) fn take_touched(&self) -> bool {
        // Relaxed: the thread that asks is the one that wrote.
        self.0.away.as_ref().is_some_and(|away| away.touched.swap(false, Ordering::Relaxed))
    }

    /// What finished tasks have merged and what was written under the lock since the last commit, as
    /// writes. At most one set is under way at a time.
    ///
    /// No task may finish meanwhile, and none may run if the lock was taken since the last commit.
    ///
    /// # Errors
    ///
    /// When the program's code fails or a task has kept the lock. From then on this fails, until what
    /// was not committed is [forgotten](SharedDict::forget).
    pub(crate) fn writes(&self) -> Result<Vec<Write>, Broken> {
        self.writes_of(self.collect())
    }

    /// Takes what finished tasks have merged since the last commit. None of the program's code runs, but
    /// a merge that a handler is in the middle of is waited for.
    pub(crate) fn collect(&self) -> Collected {
        let mut collected = Collected::default();
        for joiner in &*self.0.joiners.lock() {
            joiner.take_all(&mut collected.deltas, &mut collected.broken);
        }
        collected
    }

    /// As [`writes`](SharedDict::writes), with what was collected.
    ///
    /// # Errors
    ///
    /// As [`writes`](SharedDict::writes).
    pub(crate) fn writes_of(&self, collected: Collected) -> Result<Vec<Write>, Broken> {
        let locked = self.reach().ok_or_else(|| Broken(LOCK_LEAKED.to_string()))?;
        let most = self.0.away.as_ref().map_or(usize::MAX, |away| away.home.most_bytes());
        to_commit(locked, |locked| {
            locked.join_all(collected)?;
            locked.writes(most)
        })
    }

    /// After a conflict: takes the entries as they are now as the new bases; the writes again.
    ///
    /// # Errors
    ///
    /// As [`writes`](SharedDict::writes).
    pub(crate) fn rebase(&self, now: Vec<broker::Entry>) -> Result<Vec<Write>, Broken> {
        // As in `committed`.
        let most = self.0.away.as_ref().map_or(usize::MAX, |away| away.home.most_bytes());
        to_commit(self.0.locked.lock(), |locked| {
            now.iter().try_for_each(|entry| locked.rebase(entry))?;
            locked.writes(most)
        })
    }

    /// The writes are true, the lock is free: their values are the new bases, versions one higher.
    pub(crate) fn committed(&self) {
        // Nobody has kept the lock, else there were no writes; but a handler may be peeking.
        let mut locked = self.0.locked.lock();
        let (dict, copies) = locked.parts();
        copies.known.iter_mut().for_each(|(key, known)| known.commit(dict.stored(key).is_some()));
        self.set_free();
    }

    /// Whether nothing is to be committed; false also if that cannot be found out at once. Runs no code of
    /// the program, and does not wait for any.
    pub(crate) fn is_clean(&self) -> bool {
        let Some(mut locked) = self.0.locked.try_lock() else { return false };
        let Some(joiners) = self.0.joiners.try_lock() else { return false };
        let ahead = locked.copies().known.iter_mut().any(|(_, known)| known.is_ahead());
        !ahead && joiners.iter().all(|joiner| joiner.has_nothing())
    }

    /// The lease is lost or starts again: forgets everything that was not committed.
    ///
    /// No attempt may run that is not discarded afterwards.
    pub(crate) fn forget(&self) {
        // A lock that was kept stays so, and nothing will ever be committed.
        let Some(locked) = self.reach() else { return };
        let joiners = self.0.joiners.lock();
        let merged = joiners.iter().flat_map(|joiner| joiner.forget()).collect();
        drop(joiners);
        self.drop_what_is_ahead(locked, merged);
        self.take_touched();
    }

    /// The writes under way will never be true. What was merged since goes on.
    pub(crate) fn lost(&self) {
        self.drop_what_is_ahead(self.0.locked.lock(), Vec::new());
    }

    fn drop_what_is_ahead(
        &self,
        mut locked: MutexGuard<'_, Locked>,
        mut forgotten: Vec<Box<dyn Any>>,
    ) {
        let (dict, copies) = locked.parts();
        for (key, known) in copies.known.iter_mut() {
            if known.is_ahead() {
                forgotten.extend(dict.take(key).map(|value| value as _));
                *known = Replica::default();
            }
            known.pinned = false;
        }
        copies.broken = None;
        self.set_free();
        drop(locked);
        forgotten.into_iter().for_each(drop_quietly);
    }

    /// Locks what is here; `None` if a task has kept the lock.
    fn reach(&self) -> Option<MutexGuard<'_, Locked>> {
        // Relaxed: the caller keeps the home's lock from being taken, or took it.
        match &self.0.away {
            // No handler runs, so nothing gives back what is locked now.
            Some(away) if away.taken.load(Ordering::Relaxed) => self.0.locked.try_lock(),
            // A handler that runs may be peeking.
            _ => Some(self.0.locked.lock()),
        }
    }

    fn set_free(&self) {
        if let Some(away) = &self.0.away {
            away.taken.store(false, Ordering::Relaxed);
        }
    }
}

/// What the program's code makes of what is to be committed; a failure is remembered.
fn to_commit<O>(
    mut locked: MutexGuard<'_, Locked>,
    f: impl FnOnce(&mut Locked) -> Result<O, String>,
) -> Result<O, Broken> {
    if let Some(broken) = &locked.copies().broken {
        return Err(broken.clone());
    }
    let done = f(&mut locked).map_err(Broken);
    locked.copies().broken = done.as_ref().err().cloned();
    done
}

impl LocalDict {
    /// Takes the lock of a dict that has a home.
    #[cold]
    pub(super) fn lock_away(&self, away: &Away) -> ScopeLock {
        away.home.lock();
        away.taken.store(true, Ordering::Relaxed);
        let mut lock = self.lock_here();
        lock.locked_mut().copies().round += 1;
        lock
    }

    /// What this lease has made of the entry; else what it is at home, or was there a moment ago.
    #[cold]
    #[track_caller]
    pub(super) fn peek_away<V: Value + Clone>(&self, away: &Away, key: Key<V>) -> Option<V> {
        away.home.apply_answers();
        let mut lock = self.lock_here();
        let known = lock.locked_mut().known(key.id());
        if !known.pinned && !known.is_ahead() {
            let version = known.version;
            drop(lock);
            let entry = away.home.read(key.name(), version);
            lock = self.lock_here();
            if let Some(entry) = entry {
                lock.locked_mut().see(key, &entry);
            }
        }
        lock.locked().dict.get(key)
    }
}

impl ScopeLock {
    /// Makes the entry the newest there is, and notes if it is going to be written.
    #[cold]
    #[track_caller]
    pub(super) fn fetch<V: Value>(&mut self, key: Key<V>, access: Access) {
        let dict = self.dict.clone();
        let shared = dict.shared();
        let Some(away) = &shared.away else { return };
        let locked = self.locked_mut();
        let round = locked.copies().round;
        if locked.known(key.id()).round != round {
            locked.pin(key, &*away.home);
            if shared.types.is_merged(key.id()) {
                let joiners = shared.joiners.lock();
                let mut deltas = joiners.iter().filter_map(|joiner| joiner.take(key.id()));
                let joined = deltas.try_for_each(|delta| locked.join(delta));
                if let Err(why) = joined {
                    panic!("{why}");
                }
            }
            locked.known(key.id()).round = round;
        }
        let writes = match access {
            Access::Read => false,
            Access::Change => locked.dict.contains(key),
            Access::Fill => true,
        };
        if writes {
            locked.known(key.id()).written = true;
            away.touched.store(true, Ordering::Relaxed);
        }
    }
}

impl Locked {
    fn copies(&mut self) -> &mut Replicas {
        self.parts().1
    }

    fn parts(&mut self) -> (&mut Dict, &mut Replicas) {
        (&mut self.dict, self.copies.get_or_insert_default())
    }

    fn known(&mut self, key: KeyId) -> &mut Replica {
        let known = &mut self.copies().known;
        match known.place(key) {
            Some(place) => known.at(place),
            None => known.add(key, Replica::default()),
        }
    }

    /// Reads the entry under the home's lock, once a lease.
    #[track_caller]
    fn pin<V: Value>(&mut self, key: Key<V>, home: &dyn RemoteDict) {
        let known = self.known(key.id());
        if known.pinned {
            return;
        }
        if let Some(entry) = home.read(key.name(), known.version) {
            let adopted = self.adopt(key, &entry).and_then(|()| self.join_again(key.id()));
            if let Err(why) = adopted {
                panic!("{why}");
            }
        }
        self.known(key.id()).pinned = true;
    }

    /// Takes an entry that was read without the lock, unless there is something better by now.
    #[track_caller]
    fn see<V: Value>(&mut self, key: Key<V>, entry: &broker::Entry) {
        let known = self.known(key.id());
        if !known.is_ahead()
            && entry.version > known.version
            && let Err(why) = self.adopt(key, entry)
        {
            panic!("{why}");
        }
    }

    fn adopt<V: Value>(&mut self, key: Key<V>, entry: &broker::Entry) -> Result<(), String> {
        self.dict.set(key, entry.value.as_ref())?;
        self.known(key.id()).is_now(entry);
        Ok(())
    }

    /// Takes the entry as it is now, under what was merged into it.
    fn rebase(&mut self, entry: &broker::Entry) -> Result<(), String> {
        let Some(key) = self.copies().known.named(&entry.key) else { return Ok(()) };
        self.of_program(key, |locked| {
            let (dict, copies) = locked.parts();
            let Some(known) = copies.known.get_mut(key) else { return Ok(()) };
            if known.written {
                let name = key.name;
                return Err(format!(
                    "the dict's entry {name:?} has changed although it was locked"
                ));
            }
            let Some(delta) = known.deltas.first() else { return Ok(()) };
            delta.set_base(dict, entry.value.as_ref())?;
            known.is_now(entry);
            locked.join_again(key)
        })
    }

    /// Merges everything that finished tasks have merged.
    fn join_all(&mut self, collected: Collected) -> Result<(), String> {
        let Collected { deltas, broken } = collected;
        let mut joined = Ok(());
        for delta in deltas {
            joined = joined.and(self.of_program(delta.key(), |locked| locked.join(delta)));
        }
        let spoiled = self.copies().known.iter().filter(|(_, known)| known.spoiled);
        let spoiled = spoiled.map(|(key, _)| key.name);
        match not_complete(spoiled.chain(broken).collect()) {
            Some(text) => joined.and(Err(text)),
            None => joined,
        }
    }

    /// Merges what finished tasks have merged into one entry.
    fn join(&mut self, mut delta: Box<dyn Delta>) -> Result<(), String> {
        let key = delta.key();
        // It stays so when a merge panics.
        self.known(key).spoiled = true;
        delta.combine();
        self.known(key).spoiled = false;
        if self.known(key).pinned {
            self.known(key).written = true;
            self.merge(&mut *delta)
        } else {
            delta.encode()?;
            self.merge(&mut *delta)?;
            self.known(key).deltas.push(delta);
            Ok(())
        }
    }

    /// Merges again what was merged into the entry since the last commit.
    fn join_again(&mut self, key: KeyId) -> Result<(), String> {
        let mut deltas = mem::take(&mut self.known(key).deltas);
        let joined = deltas.iter_mut().try_for_each(|delta| self.merge(&mut **delta));
        self.known(key).deltas = deltas;
        joined
    }

    fn merge(&mut self, delta: &mut dyn Delta) -> Result<(), String> {
        // It stays so when the merge panics.
        self.known(delta.key()).spoiled = true;
        let merged = delta.merge_into(&mut self.dict);
        self.known(delta.key()).spoiled = false;
        merged
    }

    /// All entries that are ahead of those at home.
    fn writes(&mut self, most: usize) -> Result<Vec<Write>, String> {
        let ahead = self.copies().known.iter().filter(|(_, known)| known.is_ahead());
        let ahead: Vec<_> = ahead.map(|(key, _)| key).collect();
        let mut writes = Vec::with_capacity(ahead.len());
        for key in ahead {
            let value = self.of_program(key, |locked| {
                let value = locked.dict.stored(key).map(|value| value.encode());
                let value = value.transpose();
                value.map_err(|error| format!("the dict's entry {:?} {error}", key.name))
            })?;
            within(most, key, value.as_ref())?;
            let known = self.known(key);
            // What is not there need not be taken out.
            known.sent = value.is_some() || known.there;
            if known.sent {
                writes.push(Write { key: key.name.to_string(), version: known.version, value });
            }
        }
        Ok(writes)
    }

    /// Runs code of the program on one entry and returns how it failed.
    fn of_program<O>(
        &mut self,
        key: KeyId,
        f: impl FnOnce(&mut Self) -> Result<O, String>,
    ) -> Result<O, String> {
        let run = panic::catch_unwind(AssertUnwindSafe(|| f(self)));
        run.unwrap_or_else(|payload| {
            let cause = Cause::panic(payload);
            let spoiled = self.known(key).spoiled.then_some(key.name);
            Err(match not_complete(spoiled.into_iter().collect()) {
                Some(text) => format!("{text} ({cause})"),
                None => format!("the dict's entry {:?} cannot be committed: it {cause}", key.name),
            })
        })
    }
}

/// Refuses a value that takes too many bytes.
fn within(most: usize, key: KeyId, value: Option<&Encoded>) -> Result<(), String> {
    match value.map_or(0, |value| value.bytes.0.len()) {
        bytes if bytes <= most => Ok(()),
        bytes => Err(format!(
            "the dict's entry {:?} takes {bytes} bytes, and at most {most} may travel: keep it smaller, or \
             raise Runner::max_payload",
            key.name
        )),
    }
}

#[cfg(test)]
mod tests;
