//! Typed names of dict entries.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use crate::task::hash;

/// The name of an entry in the dict, and the type of its value.
///
/// ```
/// use prunner::{Key, Sum};
///
/// const PAGES: Key<Sum<u64>> = Key::new("pages");
/// assert_eq!(PAGES.name(), "pages");
/// ```
///
/// Two keys with one name and different types are a mistake: the first use of the second one panics
/// and names both types.
pub struct Key<V> {
    id: KeyId,
    value: PhantomData<fn() -> V>,
}

impl<V> Key<V> {
    /// Makes the key called `name`.
    pub const fn new(name: &'static str) -> Self {
        Self { id: KeyId { hash: hash(name), name }, value: PhantomData }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.id.name
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.id
    }
}

impl<V> Clone for Key<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Key<V> {}

impl<V> fmt::Debug for Key<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name()).finish()
    }
}

/// What can be the value of a [`Key`]: it may have to travel between processes, so it is a serde
/// type that borrows nothing.
///
/// ```
/// use prunner::{Context, Key, signature::Value};
///
/// /// Puts a value into the dict if there is none.
/// fn set_once<T, V: Value>(cx: &mut Context<'_, T>, key: Key<V>, value: V) {
///     cx.lock().entry(key).or_insert(value);
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a value of the dict",
    note = "values are `Serialize + Deserialize + Send + Sync + 'static`, so that the same program \
            runs on processes and machines too"
)]
pub trait Value: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Value for V {}

/// A key without its type. The hash is computed at compile time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyId {
    pub(crate) hash: u64,
    pub(crate) name: &'static str,
}

impl KeyId {
    /// Whether both are the same key. The hash decides nearly always that they are not, and the
    /// same constant is usually the same text in memory.
    #[inline(always)]
    fn is(self, other: &Self) -> bool {
        self.hash == other.hash && (std::ptr::eq(self.name, other.name) || self.name == other.name)
    }
}

/// A small map from keys: programs have a handful of them, and a scan of a handful of hashes is
/// faster than a hash table. Past [`SCAN`] entries an index takes over.
#[derive(Debug)]
pub(crate) struct KeyMap<S> {
    entries: Vec<(KeyId, S)>,
    index: std::collections::HashMap<&'static str, usize>,
}

const SCAN: usize = 16;

impl<S> Default for KeyMap<S> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: Default::default() }
    }
}

impl<S> KeyMap<S> {
    #[inline(always)]
    pub(crate) fn get(&self, key: KeyId) -> Option<&S> {
        self.place(key).map(|place| &self.entries[place].1)
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self, key: KeyId) -> Option<&mut S> {
        self.place(key).map(|place| &mut self.entries[place].1)
    }

    /// Where the entry is, to be reached by [`at`](KeyMap::at): entries stay where they are.
    #[inline(always)]
    pub(crate) fn place(&self, key: KeyId) -> Option<usize> {
        if self.entries.len() > SCAN {
            return self.indexed(key.name);
        }
        self.entries.iter().position(|(other, _)| key.is(other))
    }

    /// The entry at a place.
    #[inline(always)]
    pub(crate) fn at(&mut self, place: usize) -> &mut S {
        &mut self.entries[place].1
    }

    /// The key of that name, if it has an entry.
    pub(crate) fn named(&self, name: &str) -> Option<KeyId> {
        let place = match self.entries.len() > SCAN {
            true => self.indexed(name),
            false => self.entries.iter().position(|(key, _)| key.name == name),
        };
        place.map(|place| self.entries[place].0)
    }

    #[cold]
    #[inline(never)]
    fn indexed(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// Adds an entry for a key that has none and lends it.
    pub(crate) fn add(&mut self, key: KeyId, value: S) -> &mut S {
        debug_assert!(self.place(key).is_none());
        let place = self.entries.len();
        self.entries.push((key, value));
        if self.entries.len() > SCAN {
            // On the first entry past the scan, all entries; later on just the new one.
            let from = if self.index.len() < place { 0 } else { place };
            let entries = self.entries[from..].iter().enumerate();
            self.index.extend(entries.map(|(offset, (key, _))| (key.name, from + offset)));
        }
        &mut self.entries[place].1
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (KeyId, &S)> {
        self.entries.iter().map(|(key, value)| (*key, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (KeyId, &mut S)> {
        self.entries.iter_mut().map(|(key, value)| (*key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_on_both_sides_of_the_scan() {
        let names: Vec<&'static str> =
            (0..100).map(|n| &*Box::leak(format!("key {n}").into_boxed_str())).collect();
        let mut map = KeyMap::default();
        for (n, name) in names.iter().enumerate() {
            assert!(map.get(Key::<u64>::new(name).id()).is_none());
            map.add(Key::<u64>::new(name).id(), n);
            for (m, name) in names[..=n].iter().enumerate() {
                assert_eq!(map.get(Key::<u64>::new(name).id()), Some(&m));
            }
        }
    }
}
