//! The types of keys.

use std::any::{TypeId, type_name};

use parking_lot::Mutex;

use super::{
    key::{KeyId, KeyMap},
    wrong_type,
};
use crate::sync::{AtomicBool, Ordering};

/// The types of all keys in use, so that two keys with one name are found at their first use and
/// not when the workers' merges are joined.
#[derive(Debug, Default)]
pub(super) struct Types {
    keys: Mutex<KeyMap<TypeOfKey>>,
    /// Whether any key is merged into, or the dict has a home: only then is an entry more than what
    /// is under the lock.
    any_beyond: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct TypeOfKey {
    id: TypeId,
    name: &'static str,
    merged: bool,
}

impl Types {
    pub(super) fn new(has_home: bool) -> Self {
        Self { any_beyond: AtomicBool::new(has_home), ..Self::default() }
    }

    /// Notes the type of a key.
    ///
    /// # Panics
    ///
    /// When the key is already known with another type.
    #[track_caller]
    pub(super) fn register<V: 'static>(&self, key: KeyId) {
        self.note::<V>(key, false);
    }

    /// Notes the type of a key that is merged into.
    #[track_caller]
    pub(super) fn register_merged<V: 'static>(&self, key: KeyId) {
        self.note::<V>(key, true);
        self.any_beyond.store(true, Ordering::Release);
    }

    #[track_caller]
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
            wrong_type(key, there.name, type_name::<V>());
        }
    }

    #[inline(always)]
    pub(super) fn any_beyond(&self) -> bool {
        self.any_beyond.load(Ordering::Acquire)
    }

    pub(super) fn is_merged(&self, key: KeyId) -> bool {
        self.keys.lock().get(key).is_some_and(|there| there.merged)
    }
}
