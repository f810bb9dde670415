//! The lock around the dict, for real read-modify-write.

use std::{
    any::{TypeId, type_name},
    cell::Cell,
    fmt,
    sync::Arc,
};

use parking_lot::{ArcMutexGuard, Mutex, RawMutex};

use super::{
    Dict, Entry, Key, KeyId, KeyMap, Value,
    partial::{Attempts, Joiner, Merges, merges},
};
use crate::sync::{AtomicBool, Barrier, Ordering};

/// The dict of a run, for all its workers.
#[derive(Clone, Debug)]
pub(crate) struct SharedDict {
    locked: Arc<Mutex<Locked>>,
}

/// What the lock protects.
#[derive(Debug)]
struct Locked {
    dict: Dict,
    joiners: Vec<Joiner>,
    types: Arc<Types>,
    /// Whether the current holder has joined the workers' merges.
    joined: bool,
}

impl SharedDict {
    /// Makes an empty dict and the merging side of each worker.
    pub(crate) fn new(attempts: &[Attempts], barrier: Barrier) -> (Self, Vec<Merges>) {
        let types = Arc::new(Types::default());
        let sides = attempts.iter().map(|attempts| merges(barrier, attempts, &types));
        let (merges, joiners) = sides.unzip();
        let dict = Dict::new();
        let locked = Locked { dict, joiners, types, joined: false };
        (Self { locked: Arc::new(Mutex::new(locked)) }, merges)
    }

    /// Waits for the lock and takes it.
    pub(crate) fn lock(&self) -> ScopeLock {
        let address = Arc::as_ptr(&self.locked) as usize;
        assert!(
            HELD.get() != address,
            "the dict lock is already held by this task: drop the first ScopeLock before taking \
             another (dict() takes it too)"
        );
        let mut locked = Mutex::lock_arc(&self.locked);
        locked.joined = false;
        ScopeLock { outer: HELD.replace(address), locked }
    }

    /// What the dict holds now, without waiting for or joining the workers' merges.
    pub(crate) fn peek<V: Value + Clone>(&self, key: Key<V>) -> Option<V> {
        self.lock().peek(key).cloned()
    }

    /// Joins everything and takes the dict; for the end of the run.
    pub(crate) fn finish(&self) -> Dict {
        let mut lock = self.lock();
        lock.join();
        std::mem::take(&mut lock.locked.dict)
    }
}

thread_local! {
    /// The dict whose lock this thread holds: its address, or 0. Runs inside runs nest, so the
    /// guard keeps the outer one.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// The dict, locked: nobody else reads or changes it until this guard is dropped.
///
/// The guard owns the data, so the dict cannot be changed without it. Posting while it is held
/// works; taking it twice in one task panics instead of waiting for ever.
///
/// On threads it is released when it is dropped, and what a task has written under it stays even if
/// the task fails afterwards: prefer [`merge`](crate::Context::merge), which is undone.
///
/// Reading an entry that is also merged into joins the merges of all tasks that have finished so
/// far. The running task's own merges are not among them.
///
/// # Panics
///
/// Methods panic when an entry of that name holds a value of another type.
pub struct ScopeLock {
    locked: ArcMutexGuard<RawMutex, Locked>,
    outer: usize,
}

impl ScopeLock {
    /// A copy of the value. [`get_ref`](ScopeLock::get_ref) does not copy.
    pub fn get<V: Value + Clone>(&mut self, key: Key<V>) -> Option<V> {
        self.reach(key).get(key)
    }

    /// The value.
    pub fn get_ref<V: Value>(&mut self, key: Key<V>) -> Option<&V> {
        self.reach(key).get_ref(key)
    }

    /// The value, to be changed.
    #[inline]
    pub fn get_mut<V: Value>(&mut self, key: Key<V>) -> Option<&mut V> {
        self.reach(key).get_mut(key)
    }

    /// Sets the value and returns the one that was there.
    pub fn insert<V: Value>(&mut self, key: Key<V>, value: V) -> Option<V> {
        self.locked.types.register::<V>(key.id());
        self.reach(key).insert(key, value)
    }

    /// Takes the value out.
    pub fn remove<V: Value>(&mut self, key: Key<V>) -> Option<V> {
        self.reach(key).remove(key)
    }

    /// The place of a value, there or not.
    pub fn entry<V: Value>(&mut self, key: Key<V>) -> Entry<'_, V> {
        self.locked.types.register::<V>(key.id());
        self.reach(key).entry(key)
    }

    /// Whether there is a value.
    pub fn contains<V: Value>(&mut self, key: Key<V>) -> bool {
        self.reach(key).contains(key)
    }

    /// The value as it was written or joined last.
    pub(crate) fn peek<V: Value>(&self, key: Key<V>) -> Option<&V> {
        self.locked.dict.get_ref(key)
    }

    /// The dict, with the workers' merges joined if `key` is merged into.
    #[inline]
    fn reach<V: Value>(&mut self, key: Key<V>) -> &mut Dict {
        if self.locked.types.any_merged() && self.locked.types.is_merged(key.id()) {
            self.join();
        }
        &mut self.locked.dict
    }

    /// Joins the workers' merges, all keys at once, so that one holder sees one state of the world.
    #[cold]
    fn join(&mut self) {
        let locked = &mut *self.locked;
        if !std::mem::replace(&mut locked.joined, true) {
            for joiner in &locked.joiners {
                joiner.join_into(&mut locked.dict);
            }
        }
    }
}

impl Drop for ScopeLock {
    fn drop(&mut self) {
        HELD.set(self.outer);
    }
}

impl fmt::Debug for ScopeLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopeLock").field(&self.locked.dict).finish()
    }
}

/// The types of all keys in use, so that two keys with one name are found at their first use and
/// not when the workers' merges are joined.
#[derive(Debug, Default)]
pub(crate) struct Types {
    keys: Mutex<KeyMap<TypeOfKey>>,
    any_merged: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct TypeOfKey {
    id: TypeId,
    name: &'static str,
    merged: bool,
}

impl Types {
    /// Notes the type of a key.
    ///
    /// # Panics
    ///
    /// When the key is already known with another type.
    fn register<V: 'static>(&self, key: KeyId) {
        self.note::<V>(key, false);
    }

    /// Notes the type of a key that is merged into.
    pub(super) fn register_merged<V: 'static>(&self, key: KeyId) {
        self.note::<V>(key, true);
        self.any_merged.store(true, Ordering::Release);
    }

    fn note<V: 'static>(&self, key: KeyId, merged: bool) {
        let mut keys = self.keys.lock();
        let there = match keys.get_mut(key) {
            Some(there) => there,
            None => {
                let new = TypeOfKey { id: TypeId::of::<V>(), name: type_name::<V>(), merged };
                keys.add(key, new)
            }
        };
        there.merged |= merged;
        let there = *there;
        drop(keys);
        if there.id != TypeId::of::<V>() {
            super::wrong_type(key, there.name, type_name::<V>());
        }
    }

    #[inline(always)]
    fn any_merged(&self) -> bool {
        self.any_merged.load(Ordering::Acquire)
    }

    fn is_merged(&self, key: KeyId) -> bool {
        self.keys.lock().get(key).is_some_and(|there| there.merged)
    }
}
