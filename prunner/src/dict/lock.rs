//! The lock around the dict, for real read-modify-write.

use std::{cell::Cell, fmt, rc::Rc, sync::Arc};

use parking_lot::{
    Mutex, RawMutex,
    lock_api::{GuardNoSend, RawMutex as _},
};

use super::{
    Dict, Entry, Key, Value,
    merges::{Attempts, Joiner, Merges, merges},
    replica::{Away, Replicas},
    types::Types,
};
use crate::{
    failure::Cause,
    sync::{AtomicBool, Barrier, Ordering, spin_loop},
    text,
};

/// The dict of a run, for all its workers.
#[derive(Clone, Debug)]
pub(crate) struct SharedDict(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) locked: Mutex<Locked>,
    /// The way to what each worker has merged. Not behind the dict's lock: a worker can start while a
    /// task holds that.
    pub(super) joiners: Mutex<Vec<Joiner>>,
    pub(super) types: Arc<Types>,
    /// Whether a merge has panicked while the holder of the lock joined what finished tasks had merged.
    broken: AtomicBool,
    /// Where the truth is, if it is not here.
    pub(super) away: Option<Box<Away>>,
}

/// What the lock protects.
#[derive(Debug, Default)]
pub(super) struct Locked {
    pub(super) dict: Dict,
    /// Whether the current holder has joined the workers' merges.
    joined: bool,
    /// How entries stand to those at home, if there is one.
    pub(super) copies: Option<Box<Replicas>>,
}

impl SharedDict {
    /// Makes an empty dict.
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    pub(super) fn with(away: Option<Box<Away>>) -> Self {
        let types = Types::new(away.is_some());
        Self(Arc::new(Shared {
            locked: Mutex::new(Locked::default()),
            joiners: Mutex::new(Vec::new()),
            types: Arc::new(types),
            broken: AtomicBool::new(false),
            away,
        }))
    }

    /// Makes the merging side of a worker that starts.
    pub(crate) fn join(&self, attempts: &Attempts, barrier: Barrier) -> Merges {
        let (merges, joiner) = merges(barrier, attempts, &self.0.types);
        self.0.joiners.lock().push(joiner);
        merges
    }

    /// Whether an entry has lost something while merges were joined under the lock.
    pub(crate) fn is_broken(&self) -> bool {
        self.0.broken.load(Ordering::Acquire)
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
            return (Dict::new(), Some(LOCK_LEAKED.to_string()));
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
        let broken: Vec<_> = joiners.iter().flat_map(Joiner::broken).collect();
        (std::mem::take(dict), not_complete(broken))
    }
}

/// Why a dict is not whole.
pub(super) const LOCK_LEAKED: &str =
    "a task has kept the dict's lock: its ScopeLock was never dropped";

/// Why a dict with these broken entries is not whole, if there are any.
pub(super) fn not_complete(mut broken: Vec<&str>) -> Option<String> {
    broken.sort_unstable();
    broken.dedup();
    let lead = "a merge panicked, and these entries of the dict are not complete: ";
    let names = || broken.iter().map(text::label).collect::<Vec<_>>().join(", ");
    (!broken.is_empty()).then(|| format!("{lead}{}", names()))
}

/// The dict, reached from one thread.
///
/// A [`ScopeLock`] must keep the dict alive whatever the program does with it. Counting references
/// across threads for that would be two more contended operations a lock, so they are counted on the
/// thread, and the thread counts once.
#[derive(Clone, Debug)]
pub(crate) struct LocalDict(Rc<SharedDict>);

impl LocalDict {
    /// Waits for the lock and takes it. If the dict has a home, the home's lock comes first, and
    /// stays taken until the worker commits.
    #[inline]
    #[track_caller]
    pub(crate) fn lock(&self) -> ScopeLock {
        self.refuse_second();
        match &self.shared().away {
            None => self.lock_here(),
            Some(away) => self.lock_away(away),
        }
    }

    /// What the dict holds now; the workers' merges are not joined.
    #[track_caller]
    pub(crate) fn peek<V: Value + Clone>(&self, key: Key<V>) -> Option<V> {
        self.refuse_second();
        match &self.shared().away {
            None => self.lock_here().locked().dict.get(key),
            Some(away) => self.peek_away(away, key),
        }
    }

    #[inline(always)]
    #[track_caller]
    fn refuse_second(&self) {
        assert!(
            HELD.get() != self.address(),
            "the dict lock is already held by this task: drop the first ScopeLock before taking \
             another (dict() takes it too)"
        );
    }

    /// Waits for this process's part of the lock and takes it.
    #[inline]
    pub(super) fn lock_here(&self) -> ScopeLock {
        let dict = self.clone();
        let acquired = dict.acquire();
        let outer = HELD.replace(dict.address());
        let mut lock = ScopeLock { dict, acquired: Some(acquired), outer };
        lock.locked_mut().joined = false;
        lock
    }

    /// Locks the mutex, to be unlocked by a `ScopeLock`.
    ///
    /// Critical sections are short and the dict's cache lines cost more than they do, so a waiter keeps
    /// its hands off for longer and longer: meanwhile the holder comes back many times to lines that
    /// are still its own.
    #[inline]
    fn acquire(&self) -> GuardNoSend {
        // SAFETY: nothing else unlocks what is locked here.
        let raw = unsafe { self.mutex().raw() };
        raw.try_lock().unwrap_or_else(|| wait_for(raw))
    }

    fn mutex(&self) -> &Mutex<Locked> {
        &self.shared().locked
    }

    pub(super) fn shared(&self) -> &Shared {
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

/// The dict, locked: no other worker reads or changes it until this guard is dropped.
///
/// The guard owns the data, so the dict cannot be changed without it. Posting while it is held
/// works; taking it twice in one task panics instead of waiting for ever.
///
/// On threads it is released when it is dropped, and what a task has written under it stays even if
/// the task fails afterwards: prefer [`merge`](crate::Context::merge), which is undone.
///
/// On worker processes it is held until the task is committed, also if the guard is dropped before that
/// and nothing was written; what was written under it appears with the commit.
///
/// Reading an entry that is also merged into joins the merges of all tasks that have finished so
/// far. The running task's own merges are not among them.
///
/// ```
/// use prunner::{Key, MessageLoop, Runner, global_lock, post_task};
///
/// const LIMIT: Key<u32> = Key::new("limit");
/// const WAITING: Key<Vec<u32>> = Key::new("waiting");
///
/// fn begin() {
///     let mut dict = global_lock();
///     assert_eq!(dict.insert(LIMIT, 2), None);
///     dict.entry(WAITING).or_default().extend([7, 8, 9]);
///     post_task(take, ());
/// }
///
/// fn take() {
///     let mut dict = global_lock();
///     let limit = dict.get(LIMIT).unwrap_or_default() as usize;
///     let taken: Vec<u32> = match dict.get_mut(WAITING) {
///         Some(waiting) => waiting.drain(..limit).collect(),
///         None => return,
///     };
///     assert_eq!(taken, [7, 8]);
///     assert_eq!(dict.get_ref(WAITING), Some(&vec![9]));
///     assert_eq!(dict.remove(LIMIT), Some(2));
///     assert!(!dict.contains(LIMIT));
/// }
///
/// Runner::new(MessageLoop::new(begin, || ())).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
///
/// # Panics
///
/// Methods panic when an entry of that name holds a value of another type.
pub struct ScopeLock {
    /// Its mutex is locked, by this.
    pub(super) dict: LocalDict,
    /// What unlocks it; there until the end.
    acquired: Option<GuardNoSend>,
    outer: usize,
}

impl ScopeLock {
    /// A copy of the value. [`get_ref`](ScopeLock::get_ref) does not copy.
    #[track_caller]
    pub fn get<V: Value + Clone>(&mut self, key: Key<V>) -> Option<V> {
        self.reach(key, Access::Read).get(key)
    }

    /// The value.
    #[track_caller]
    pub fn get_ref<V: Value>(&mut self, key: Key<V>) -> Option<&V> {
        self.reach(key, Access::Read).get_ref(key)
    }

    /// The value, to be changed.
    #[inline]
    #[track_caller]
    pub fn get_mut<V: Value>(&mut self, key: Key<V>) -> Option<&mut V> {
        self.reach(key, Access::Change).get_mut(key)
    }

    /// Sets the value and returns the one that was there.
    #[track_caller]
    pub fn insert<V: Value>(&mut self, key: Key<V>, value: V) -> Option<V> {
        self.reach_new(key).insert(key, value)
    }

    /// Takes the value out.
    #[track_caller]
    pub fn remove<V: Value>(&mut self, key: Key<V>) -> Option<V> {
        self.reach(key, Access::Change).remove(key)
    }

    /// The place of a value, there or not.
    #[track_caller]
    pub fn entry<V: Value>(&mut self, key: Key<V>) -> Entry<'_, V> {
        self.reach_new(key).entry(key)
    }

    /// Whether there is a value.
    #[track_caller]
    pub fn contains<V: Value>(&mut self, key: Key<V>) -> bool {
        self.reach(key, Access::Read).contains(key)
    }

    /// The value as it was written or joined last; if the dict has a home, as it is.
    #[track_caller]
    pub(crate) fn peek<V: Value>(&mut self, key: Key<V>) -> Option<&V> {
        if self.dict.shared().away.is_some() {
            return self.get_ref(key);
        }
        self.locked().dict.get_ref(key)
    }

    /// The dict, with what must be joined first to use `key`.
    #[inline]
    #[track_caller]
    fn reach<V: Value>(&mut self, key: Key<V>, access: Access) -> &mut Dict {
        let types = &self.dict.shared().types;
        if types.any_beyond() {
            self.catch_up(key, access);
        }
        &mut self.locked_mut().dict
    }

    /// As [`reach`](ScopeLock::reach), for a key that may be new.
    #[track_caller]
    fn reach_new<V: Value>(&mut self, key: Key<V>) -> &mut Dict {
        if self.locked_mut().dict.find(key).is_none() {
            self.dict.shared().types.register::<V>(key.id());
        }
        self.reach(key, Access::Fill)
    }

    /// Makes the entry the newest there is: from the home, or with the workers' merges joined if it
    /// is merged into.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn catch_up<V: Value>(&mut self, key: Key<V>, access: Access) {
        if self.dict.shared().away.is_some() {
            self.fetch(key, access);
        } else if self.dict.shared().types.is_merged(key.id()) {
            self.join();
        }
    }

    /// Joins the workers' merges, all keys at once, so that one holder sees one state of the world.
    #[cold]
    fn join(&mut self) {
        if !std::mem::replace(&mut self.locked_mut().joined, true) {
            let dict = self.dict.clone();
            let breaks = Breaks(&dict.shared().broken);
            for joiner in &*dict.shared().joiners.lock() {
                joiner.join_into(&mut self.locked_mut().dict);
            }
            std::mem::forget(breaks);
        }
    }

    #[inline(always)]
    pub(super) fn locked(&self) -> &Locked {
        // SAFETY: the mutex is locked by this guard, which is borrowed for as long as the reference.
        unsafe { &*self.dict.mutex().data_ptr() }
    }

    #[inline(always)]
    pub(super) fn locked_mut(&mut self) -> &mut Locked {
        // SAFETY: the mutex is locked by this guard, which is borrowed for as long as the reference.
        unsafe { &mut *self.dict.mutex().data_ptr() }
    }
}

/// Notes that the dict is not whole, unless it is forgotten.
struct Breaks<'a>(&'a AtomicBool);

impl Drop for Breaks<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What an entry is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    /// To change or remove a value that is there.
    Change,
    /// To put a value there, too.
    Fill,
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
