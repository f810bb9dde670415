//! The dict, as plain functions reach it.

use std::{fmt, marker::PhantomData};

use super::{frame::Here, global_lock};
use crate::dict::{Key, Value};

/// The dict of the run on this thread.
///
/// ```
/// use prunner::{Key, MessageLoop, Runner, dict};
///
/// const NAME: Key<String> = Key::new("name");
///
/// fn begin() {
///     dict().insert(NAME, "first".to_string());
/// }
///
/// fn end() {
///     assert_eq!(dict().get(NAME).as_deref(), Some("first"));
/// }
///
/// Runner::new(MessageLoop::new(begin, end)).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
///
/// # Panics
///
/// Outside a message loop.
#[track_caller]
pub fn dict() -> DictHandle {
    Here::new().frame("dict");
    DictHandle { here: PhantomData }
}

/// The dict, reached from plain functions.
///
/// Each call is a step of its own: for read-modify-write take [`global_lock`]. In `end`, which runs
/// alone and last, the dict can only be read.
///
/// All calls but [`get`](DictHandle::get) take the lock, also those that only look. On threads they give
/// it back when they return. On worker processes it stays taken until the task is committed, as always:
/// others that want it wait for that.
///
/// ```
/// use prunner::{Key, MessageLoop, Runner, dict};
///
/// const NAMES: Key<Vec<String>> = Key::new("names");
/// const LIMIT: Key<u32> = Key::new("limit");
///
/// fn begin() {
///     assert_eq!(dict().insert(LIMIT, 10), None);
///     dict().insert(NAMES, vec!["first".to_string()]);
///     assert_eq!(dict().remove(LIMIT), Some(10));
/// }
///
/// fn end() {
///     assert!(!dict().contains(LIMIT));
///     assert_eq!(dict().get(NAMES), Some(vec!["first".to_string()]));
///     // Without a copy.
///     assert_eq!(dict().with(NAMES, |names| names.map(Vec::len)), Some(1));
/// }
///
/// Runner::new(MessageLoop::new(begin, end)).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
pub struct DictHandle {
    /// It belongs to this thread's run.
    here: PhantomData<*const ()>,
}

impl DictHandle {
    /// A copy of the value. In `end` this is the truth; in the middle of a run **it may be stale**,
    /// and merges that nobody has joined yet are missing. It waits as [`Context::get`] does.
    ///
    /// # Panics
    ///
    /// Outside a message loop, and when this task holds the lock: read through the guard.
    #[track_caller]
    pub fn get<V: Value + Clone>(&self, key: Key<V>) -> Option<V> {
        let here = Here::new();
        let frame = here.frame("dict().get");
        match frame.end {
            Some(dict) => dict.get(key),
            None => frame.context("dict().get").get(key),
        }
    }

    /// Lends the value to `f` without copying it. In the middle of a run `f` holds the lock. On threads
    /// the value may be stale as that of [`get`](DictHandle::get); on worker processes it is exact.
    ///
    /// # Panics
    ///
    /// As [`get`](DictHandle::get) does.
    #[track_caller]
    pub fn with<V: Value, O>(&self, key: Key<V>, f: impl FnOnce(Option<&V>) -> O) -> O {
        let here = Here::new();
        let frame = here.frame("dict().with");
        match frame.end {
            Some(dict) => f(dict.get_ref(key)),
            None => {
                // The context is given back before `f` runs, which may post.
                let mut lock = frame.context("dict().with").lock();
                f(lock.peek(key))
            }
        }
    }

    /// Sets the value and returns the one that was there.
    ///
    /// # Panics
    ///
    /// Outside a message loop's `begin` and tasks, and when this task holds the lock: write through
    /// the guard.
    #[track_caller]
    pub fn insert<V: Value>(&self, key: Key<V>, value: V) -> Option<V> {
        global_lock().insert(key, value)
    }

    /// Whether there is a value; as [`with`](DictHandle::with) otherwise.
    ///
    /// # Panics
    ///
    /// As [`get`](DictHandle::get) does.
    #[track_caller]
    pub fn contains<V: Value>(&self, key: Key<V>) -> bool {
        self.with(key, |value| value.is_some())
    }

    /// Takes the value out.
    ///
    /// # Panics
    ///
    /// As [`insert`](DictHandle::insert) does.
    #[track_caller]
    pub fn remove<V: Value>(&self, key: Key<V>) -> Option<V> {
        global_lock().remove(key)
    }
}

impl fmt::Debug for DictHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DictHandle").finish_non_exhaustive()
    }
}
