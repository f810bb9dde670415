//! The shared dict: typed entries that handlers merge into or change under the lock.

mod key;
mod lock;
mod merge;
mod partial;

pub use key::{Key, Value};
pub use lock::ScopeLock;
pub use merge::{Append, Counter, Max, Merge, Min, Sum};

pub(crate) use lock::{LocalDict, SharedDict};
pub(crate) use partial::{Attempts, Merges};

use std::{
    any::{Any, type_name},
    fmt,
};

use key::{KeyId, KeyMap};

/// Entries by [`Key`], each of its key's type.
///
/// Handlers reach it through [`Context::merge`](crate::Context::merge) and
/// [`Context::lock`](crate::Context::lock); `end` and the report get the whole of it.
///
/// ```
/// use prunner::{Dict, Key};
///
/// const HOSTS: Key<Vec<String>> = Key::new("hosts");
///
/// let mut dict = Dict::new();
/// dict.entry(HOSTS).or_default().push("a.example".into());
/// assert_eq!(dict.get(HOSTS), Some(vec!["a.example".to_string()]));
/// assert_eq!(dict.get_ref(HOSTS).map(Vec::len), Some(1));
/// assert_eq!(dict.remove(HOSTS).map(|hosts| hosts.len()), Some(1));
/// assert!(dict.is_empty());
/// ```
///
/// # Panics
///
/// Every method panics when an entry of that name holds a value of another type: two keys share
/// one name.
#[derive(Default)]
pub struct Dict {
    /// An entry that was removed stays as `None`: programs remove and insert the same few keys.
    entries: KeyMap<Option<Box<dyn Stored>>>,
}

/// A value whose type only its key knows.
trait Stored: Any + Send + Sync {
    fn type_name(&self) -> &'static str;
}

impl<V: Value> Stored for V {
    fn type_name(&self) -> &'static str {
        type_name::<V>()
    }
}

impl Dict {
    /// Makes an empty dict.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of the value. [`get_ref`](Dict::get_ref) does not copy.
    pub fn get<V: Value + Clone>(&self, key: Key<V>) -> Option<V> {
        self.get_ref(key).cloned()
    }

    /// The value.
    pub fn get_ref<V: Value>(&self, key: Key<V>) -> Option<&V> {
        let stored = &**self.entries.get(key.id())?.as_ref()?;
        match (stored as &dyn Any).downcast_ref() {
            Some(value) => Some(value),
            None => wrong_type(key.id(), stored.type_name(), type_name::<V>()),
        }
    }

    /// The value, to be changed.
    #[inline]
    pub fn get_mut<V: Value>(&mut self, key: Key<V>) -> Option<&mut V> {
        let stored = self.entries.get_mut(key.id())?.as_mut()?;
        if !(&**stored as &dyn Any).is::<V>() {
            wrong_type(key.id(), (**stored).type_name(), type_name::<V>());
        }
        (&mut **stored as &mut dyn Any).downcast_mut()
    }

    /// Sets the value and returns the one that was there.
    pub fn insert<V: Value>(&mut self, key: Key<V>, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(key) {
            return Some(std::mem::replace(old, value));
        }
        self.fill(key, value);
        None
    }

    /// Takes the value out.
    pub fn remove<V: Value>(&mut self, key: Key<V>) -> Option<V> {
        self.get_ref(key)?;
        let stored: Box<dyn Any> = self.entries.get_mut(key.id())?.take()?;
        stored.downcast().ok().map(|value| *value)
    }

    /// The place of a value, there or not.
    pub fn entry<V: Value>(&mut self, key: Key<V>) -> Entry<'_, V> {
        Entry { dict: self, key }
    }

    /// Whether there is a value.
    pub fn contains<V: Value>(&self, key: Key<V>) -> bool {
        self.get_ref(key).is_some()
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.names().count()
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of all keys that have a value.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key.name)
    }

    /// Merges `value` into the entry.
    pub(crate) fn merge<V: Value + Merge>(&mut self, key: Key<V>, value: V) {
        match self.get_mut(key) {
            Some(old) => old.merge(value),
            None => self.fill(key, value),
        }
    }

    fn fill<V: Value>(&mut self, key: Key<V>, value: V) {
        let value: Option<Box<dyn Stored>> = Some(Box::new(value));
        match self.entries.get_mut(key.id()) {
            Some(slot) => *slot = value,
            None => _ = self.entries.add(key.id(), value),
        }
    }
}

#[cold]
fn wrong_type(key: KeyId, there: &str, wanted: &str) -> ! {
    panic!(
        "the dict's entry {:?} holds a {there}, not a {wanted}: two keys share one name",
        key.name
    )
}

impl fmt::Debug for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dict ")?;
        f.debug_set().entries(self.names()).finish()
    }
}

/// The place of one value in a [`Dict`], there or not.
#[derive(Debug)]
pub struct Entry<'a, V> {
    dict: &'a mut Dict,
    key: Key<V>,
}

impl<'a, V: Value> Entry<'a, V> {
    /// The value; `value` if there was none.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// The value; what `value` makes if there was none.
    pub fn or_insert_with(self, value: impl FnOnce() -> V) -> &'a mut V {
        if !self.dict.contains(self.key) {
            self.dict.fill(self.key, value());
        }
        self.dict.get_mut(self.key).expect("the entry was filled just now")
    }

    /// The value; the default if there was none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Changes the value if there is one.
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Self {
        if let Some(value) = self.dict.get_mut(self.key) {
            change(value);
        }
        self
    }
}
