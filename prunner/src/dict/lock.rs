//! The lock around the dict, for real read-modify-write.

use std::{
    any::{TypeId, type_name},
    cell::Cell,
    fmt,
    rc::Rc,
    sync::Arc,
};

use parking_lot::{
    Mutex, RawMutex,
    lock_api::{GuardNoSend, RawMutex as _},
};

use super::{
    Dict, Entry, Key, KeyId, KeyMap, Value,
    partial::{Attempts, Joiner, Merges, merges},
};
use crate::{
    failure::Cause,
    sync::{AtomicBool, Barrier, Ordering, spin_loop},
};

/// The dict of a run, for all its workers.
#[derive(Clone, Debug)]
pub(crate) struct SharedDict(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    locked: Mutex<Locked>,
    /// The way to what each worker has merged. Not behind the dict's lock: a worker can start while a
    /// task holds that.
    joiners: Mutex<Vec<Joiner>>,
    types: Arc<Types>,
}

/// What the lock protects.
#[derive(Debug, Default)]
struct Locked {
    dict: Dict,
    /// Whether the current holder has joined the workers' merges.
    joined: bool,
}

impl SharedDict {
    /// Makes an empty dict.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            locked: Mutex::new(Locked::default()),
            joiners: Mutex::new(Vec::new()),
            types: Arc::new(Types::default()),
        }))
    }

    /// Makes the merging side of a worker that starts.
    pub(crate) fn join(&self, attempts: &Attempts, barrier: Barrier) -> Merges {
        let (merges, joiner) = merges(barrier, attempts, &self.0.types);
        self.0.joiners.lock().push(joiner);
        merges
    }

    /// The handle of one worker.
    pub(crate) fn of_this_thread(&self) -> LocalDict {
        LocalDict(Rc::new(self.clone()))
    }

    /// Joins everything and takes the dict; for the end of the run. Says why the dict is not whole, if
    /// it is not.
    pub(crate) fn finish(&self) -> (Dict, Option<String>) {
        // No task runs any more. Whoever holds the lock will never give it back.
        let Some(mut locked) = self.0.locked.try_lock() else {
            let text = "a task has kept the dict's lock: its ScopeLock was never dropped";
            return (Dict::new(), Some(text.to_string()));
        };
        let dict = &mut locked.dict;
        let joiners = self.0.joiners.lock();
        for joiner in &*joiners {
            // Each panic takes away what was being merged, so this comes to an end.
            let join = |dict: &mut Dict| {
                joiner.join_into(dict);
                Ok(())
            };
            while let Err(cause) = Cause::of(|| join(dict)) {
                log::error!("a merge {cause}");
            }
        }
        let mut broken: Vec<_> = joiners.iter().flat_map(Joiner::broken).collect();
        broken.sort_unstable();
        broken.dedup();
        let text = "a merge panicked, and these entries of the dict are not complete: ";
        let broken = (!broken.is_empty()).then(|| format!("{text}{}", broken.join(", ")));
        (std::mem::take(dict), broken)
    }
}

/// The dict, reached from one thread.
///
/// A [`ScopeLock`] must keep the dict alive whatever the program does with it. Counting references
/// across threads for that would be two more contended operations a lock, so they are counted on the
/// thread, and the thread counts once.
#[derive(Clone, Debug)]
pub(crate) struct LocalDict(Rc<SharedDict>);

impl LocalDict {
    /// Waits for the lock and takes it.
    pub(crate) fn lock(&self) -> ScopeLock {
        let address = self.address();
        assert!(
            HELD.get() != address,
            "the dict lock is already held by this task: drop the first ScopeLock before taking \
             another (dict() takes it too)"
        );
        let dict = self.clone();
        let acquired = dict.acquire();
        let mut lock = ScopeLock { outer: HELD.replace(address), acquired: Some(acquired), dict };
        lock.locked_mut().joined = false;
        lock
    }

    /// What the dict holds now; the workers' merges are not joined.
    pub(crate) fn peek<V: Value + Clone>(&self, key: Key<V>) -> Option<V> {
        self.lock().peek(key).cloned()
    }

    /// Locks the mutex, to be unlocked by a `ScopeLock`.
    ///
    /// Critical sections are short and the dict's cache lines cost more than they do, so a waiter keeps
    /// its hands off for longer and longer: meanwhile the holder comes back many times to lines that
    /// are still its own.
    #[inline]
    fn acquire(&self) -> GuardNoSend {
        // SAFETY: nobody else unlocks what is locked here.
        let raw = unsafe { self.mutex().raw() };
        raw.try_lock().unwrap_or_else(|| wait_for(raw))
    }

    fn mutex(&self) -> &Mutex<Locked> {
        &self.shared().locked
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self.mutex()).addr()
    }
}

/// From the first to the last number of pauses before a waiter looks again; then it sleeps.
const FIRST_PAUSE: u32 = 32;
const LAST_PAUSE: u32 = 1024;

#[cold]
#[inline(never)]
fn wait_for(raw: &RawMutex) -> GuardNoSend {
    let mut pause = FIRST_PAUSE;
    while pause <= LAST_PAUSE {
        (0..pause).for_each(|_| spin_loop());
        if let Some(acquired) = raw.try_lock() {
            return acquired;
        }
        pause *= 2;
    }
    raw.lock()
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
    /// Its mutex is locked, by this.
    dict: LocalDict,
    /// What unlocks it; there until the end.
    acquired: Option<GuardNoSend>,
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
        self.reach_new(key).insert(key, value)
    }

    /// Takes the value out.
    pub fn remove<V: Value>(&mut self, key: Key<V>) -> Option<V> {
        self.reach(key).remove(key)
    }

    /// The place of a value, there or not.
    pub fn entry<V: Value>(&mut self, key: Key<V>) -> Entry<'_, V> {
        self.reach_new(key).entry(key)
    }

    /// Whether there is a value.
    pub fn contains<V: Value>(&mut self, key: Key<V>) -> bool {
        self.reach(key).contains(key)
    }

    /// The value as it was written or joined last.
    pub(crate) fn peek<V: Value>(&self, key: Key<V>) -> Option<&V> {
        self.locked().dict.get_ref(key)
    }

    /// The dict, with the workers' merges joined if `key` is merged into.
    #[inline]
    fn reach<V: Value>(&mut self, key: Key<V>) -> &mut Dict {
        let types = &self.dict.shared().types;
        if types.any_merged() && types.is_merged(key.id()) {
            self.join();
        }
        &mut self.locked_mut().dict
    }

    /// As [`reach`](ScopeLock::reach), for a key that may be new.
    fn reach_new<V: Value>(&mut self, key: Key<V>) -> &mut Dict {
        if !self.locked().dict.contains(key) {
            self.dict.shared().types.register::<V>(key.id());
        }
        self.reach(key)
    }

    /// Joins the workers' merges, all keys at once, so that one holder sees one state of the world.
    #[cold]
    fn join(&mut self) {
        if !std::mem::replace(&mut self.locked_mut().joined, true) {
            let dict = self.dict.clone();
            for joiner in &*dict.shared().joiners.lock() {
                joiner.join_into(&mut self.locked_mut().dict);
            }
        }
    }

    #[inline(always)]
    fn locked(&self) -> &Locked {
        // SAFETY: the mutex is locked by this guard, which is borrowed for as long as the reference.
        unsafe { &*self.dict.mutex().data_ptr() }
    }

    #[inline(always)]
    fn locked_mut(&mut self) -> &mut Locked {
        // SAFETY: the mutex is locked by this guard, which is borrowed for as long as the reference.
        unsafe { &mut *self.dict.mutex().data_ptr() }
    }
}

impl Drop for ScopeLock {
    #[inline]
    fn drop(&mut self) {
        HELD.set(self.outer);
        if let Some(acquired) = self.acquired.take() {
            // SAFETY: this is what locking it gave, references to the data end with the guard, and an
            // `Rc` keeps the guard on the thread that locked it.
            unsafe { self.dict.mutex().force_unlock(acquired) };
        }
    }
}

impl fmt::Debug for ScopeLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopeLock").field(&self.locked().dict).finish()
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
