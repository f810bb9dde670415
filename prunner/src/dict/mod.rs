//! The shared dict: typed entries that handlers merge into or change under the lock.

mod delta;
mod erased;
mod home;
mod key;
mod lock;
mod merge;
mod merges;
mod replica;
mod types;

pub use key::{Key, Value};
pub use lock::ScopeLock;
pub use merge::{Append, Counter, Max, Merge, Min, Sum};

pub(crate) use lock::{LocalDict, SharedDict};
pub(crate) use merges::{Attempts, Merges};
pub(crate) use replica::RemoteDict;

use std::{
    any::{Any, type_name},
    collections::BTreeMap,
    fmt,
    sync::OnceLock,
};

use crate::{
    broker::{self, Encoded},
    codec::{self, Bytes, CodecError},
    text,
};
use erased::Erased;
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
/// assert_eq!(dict.insert(HOSTS, Vec::new()), None);
/// dict.entry(HOSTS).or_default().push("b.example".into());
/// dict.get_mut(HOSTS).expect("it was inserted")[0] = "a.example".into();
/// assert!(dict.contains(HOSTS) && dict.len() == 1);
/// assert_eq!(dict.names().collect::<Vec<_>>(), ["hosts"]);
/// assert_eq!(dict.get(HOSTS), Some(vec!["a.example".to_string()]));
/// assert_eq!(dict.get_ref(HOSTS).map(Vec::len), Some(1));
/// assert_eq!(dict.remove(HOSTS).map(|hosts| hosts.len()), Some(1));
/// assert!(dict.is_empty());
/// ```
///
/// # Panics
///
/// Every method panics when an entry of that name holds a value of another type: two keys share
/// one name. So it does when the value came from another process and its type cannot read it.
#[derive(Default)]
pub struct Dict {
    /// An entry that was removed stays as `None`: programs remove and insert the same few keys.
    entries: KeyMap<Option<Erased<dyn Stored>>>,
    /// What came as bytes and was not changed yet. No key is in both.
    #[expect(clippy::box_collection, reason = "a dict on threads is smaller without")]
    undecoded: Option<Box<BTreeMap<String, Undecoded>>>,
}

/// A value whose type only its key knows.
trait Stored: Any + Send + Sync {
    fn type_name(&self) -> &'static str;
    fn encode(&self) -> Result<Encoded, CodecError>;
}

impl<V: Value> Stored for V {
    fn type_name(&self) -> &'static str {
        type_name::<V>()
    }

    fn encode(&self) -> Result<Encoded, CodecError> {
        let bytes = Bytes(codec::to_bytes(self)?);
        Ok(Encoded { type_name: type_name::<V>().to_string(), bytes })
    }
}

fn erase<V: Value>(value: V) -> Erased<dyn Stored> {
    Erased::new(value, |value| value)
}

/// A value that is bytes until somebody comes who knows its type.
struct Undecoded {
    encoded: Encoded,
    value: OnceLock<Erased<dyn Stored>>,
}

impl Undecoded {
    #[track_caller]
    fn stored<V: Value>(&self, key: Key<V>) -> &Erased<dyn Stored> {
        if let Some(value) = self.value.get() {
            return value;
        }
        match decode(key, &self.encoded) {
            Ok(value) => self.value.get_or_init(|| erase(value)),
            Err(why) => panic!("{why}"),
        }
    }
}

/// Reads the value of `key` from bytes; says why if that cannot be done.
pub(crate) fn decode<V: Value>(key: Key<V>, encoded: &Encoded) -> Result<V, String> {
    match encoded.type_name == type_name::<V>() {
        true => codec::decode(&encoded.bytes.0)
            .map_err(|error| format!("the dict's entry {:?} {error}", text::label(key.name()))),
        false => Err(two_types(key.id(), &encoded.type_name, type_name::<V>())),
    }
}

impl Dict {
    /// Makes an empty dict.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a dict of what a broker has. Values are decoded when they are first asked for.
    pub(crate) fn from_entries(entries: Vec<broker::Entry>) -> Self {
        let there = |entry: broker::Entry| {
            let undecoded = Undecoded { encoded: entry.value?, value: OnceLock::new() };
            Some((entry.key, undecoded))
        };
        let undecoded = Box::new(entries.into_iter().filter_map(there).collect());
        Self { entries: KeyMap::default(), undecoded: Some(undecoded) }
    }

    /// A copy of the value. [`get_ref`](Dict::get_ref) does not copy.
    #[track_caller]
    pub fn get<V: Value + Clone>(&self, key: Key<V>) -> Option<V> {
        self.get_ref(key).cloned()
    }

    /// The value.
    #[track_caller]
    pub fn get_ref<V: Value>(&self, key: Key<V>) -> Option<&V> {
        let stored = match self.entries.get(key.id()) {
            Some(value) => value.as_ref()?,
            None => self.decoded(key)?,
        };
        let value = stored.get();
        if value.is_none() {
            wrong_type(key.id(), stored.type_name(), type_name::<V>());
        }
        value
    }

    /// The value, to be changed.
    #[inline]
    #[track_caller]
    pub fn get_mut<V: Value>(&mut self, key: Key<V>) -> Option<&mut V> {
        let place = self.find(key)?;
        self.at(place, key)
    }

    /// Sets the value and returns the one that was there.
    #[track_caller]
    pub fn insert<V: Value>(&mut self, key: Key<V>, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(key) {
            return Some(std::mem::replace(old, value));
        }
        self.fill(key, value);
        None
    }

    /// Takes the value out.
    #[track_caller]
    pub fn remove<V: Value>(&mut self, key: Key<V>) -> Option<V> {
        self.get_mut(key)?;
        let stored: Box<dyn Any> = self.take(key.id())?;
        stored.downcast().ok().map(|value| *value)
    }

    /// The place of a value, there or not.
    pub fn entry<V: Value>(&mut self, key: Key<V>) -> Entry<'_, V> {
        Entry { dict: self, key }
    }

    /// Whether there is a value.
    #[track_caller]
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
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let decoded = self.entries.iter().filter(|(_, value)| value.is_some());
        let undecoded = self.undecoded.iter().flat_map(|undecoded| undecoded.keys());
        decoded.map(|(key, _)| key.name).chain(undecoded.map(String::as_str))
    }

    /// Merges `value` into the entry.
    #[track_caller]
    pub(crate) fn merge<V: Value + Merge>(&mut self, key: Key<V>, value: V) {
        match self.get_mut(key) {
            Some(old) => old.merge(value),
            None => self.fill(key, value),
        }
    }

    /// Sets the value to what a broker has, or says why it cannot be read and leaves it.
    fn set<V: Value>(&mut self, key: Key<V>, value: Option<&Encoded>) -> Result<(), String> {
        match value {
            Some(value) => self.fill(key, decode(key, value)?),
            None => drop(self.take(key.id())),
        }
        Ok(())
    }

    /// Takes the value out, whatever its type.
    fn take(&mut self, key: KeyId) -> Option<Box<dyn Stored>> {
        Some(self.entries.get_mut(key)?.take()?.into_box())
    }

    /// The value, whatever its type.
    fn stored(&self, key: KeyId) -> Option<&dyn Stored> {
        self.entries.get(key)?.as_deref()
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn decoded<V: Value>(&self, key: Key<V>) -> Option<&Erased<dyn Stored>> {
        Some(self.undecoded.as_ref()?.get(key.name())?.stored(key))
    }

    /// Where the value is, if there is one.
    #[inline(always)]
    #[track_caller]
    fn find<V: Value>(&mut self, key: Key<V>) -> Option<usize> {
        if self.undecoded.is_some() {
            self.settle(key);
        }
        let place = self.entries.place(key.id())?;
        self.entries.at(place).is_some().then_some(place)
    }

    /// The value at a place.
    #[inline(always)]
    #[track_caller]
    fn at<V: Value>(&mut self, place: usize, key: Key<V>) -> Option<&mut V> {
        let stored = self.entries.at(place).as_mut()?;
        if !stored.is::<V>() {
            wrong_type(key.id(), stored.type_name(), type_name::<V>());
        }
        stored.get_mut()
    }

    /// Moves the value to those that can be changed, if it came as bytes.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn settle<V: Value>(&mut self, key: Key<V>) {
        let Some(undecoded) = &mut self.undecoded else { return };
        if let Some(value) = undecoded.get(key.name()) {
            value.stored(key);
        }
        if let Some(value) = undecoded.remove(key.name()) {
            self.entries.add(key.id(), value.value.into_inner());
        }
    }

    fn fill<V: Value>(&mut self, key: Key<V>, value: V) {
        let value = Some(erase(value));
        match self.entries.get_mut(key.id()) {
            Some(slot) => *slot = value,
            None => _ = self.entries.add(key.id(), value),
        }
    }
}

#[cold]
#[track_caller]
fn wrong_type(key: KeyId, there: &str, wanted: &str) -> ! {
    panic!("{}", two_types(key, there, wanted))
}

fn two_types(key: KeyId, there: &str, wanted: &str) -> String {
    let [name, there, wanted] = [key.name, there, wanted].map(text::label);
    format!("the dict's entry {name:?} holds a {there}, not a {wanted}: two keys share one name")
}

impl fmt::Debug for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dict ")?;
        f.debug_set().entries(self.names()).finish()
    }
}

/// The place of one value in a [`Dict`], there or not.
///
/// ```
/// use prunner::{Dict, Key};
///
/// const VISITS: Key<u64> = Key::new("visits");
/// const NAMES: Key<Vec<String>> = Key::new("names");
///
/// let mut dict = Dict::new();
/// dict.entry(VISITS).and_modify(|visits| *visits += 1).or_insert(1);
/// *dict.entry(VISITS).or_insert_with(|| unreachable!("there is a value")) += 1;
/// dict.entry(NAMES).or_default().push("first".to_string());
/// assert_eq!((dict.get(VISITS), dict.get_ref(NAMES).map(Vec::len)), (Some(2), Some(1)));
/// ```
#[derive(Debug)]
pub struct Entry<'a, V> {
    dict: &'a mut Dict,
    key: Key<V>,
}

impl<'a, V: Value> Entry<'a, V> {
    /// The value; `value` if there was none.
    #[track_caller]
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// The value; what `value` makes if there was none.
    #[inline]
    #[track_caller]
    pub fn or_insert_with(self, value: impl FnOnce() -> V) -> &'a mut V {
        let place = match self.dict.find(self.key) {
            Some(place) => Some(place),
            None => {
                self.dict.fill(self.key, value());
                self.dict.find(self.key)
            }
        };
        let Some(place) = place else { unreachable!("it was there, or was filled just now") };
        self.dict.at(place, self.key).expect("there is a value in its place")
    }

    /// The value; the default if there was none.
    #[track_caller]
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Changes the value if there is one.
    #[track_caller]
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Self {
        if let Some(value) = self.dict.get_mut(self.key) {
            change(value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Cause;

    const NUMBER: Key<u64> = Key::new("number");
    const TEXT: Key<String> = Key::new("text");
    const GONE: Key<u64> = Key::new("gone");
    const NUMBER_AS_TEXT: Key<String> = Key::new("number");

    fn entry(key: &str, value: Option<&dyn Stored>) -> broker::Entry {
        let value = value.map(|value| value.encode().expect("the value can be written"));
        broker::Entry { key: key.to_string(), version: 1, value }
    }

    fn from_broker() -> Dict {
        Dict::from_entries(vec![
            entry("text", Some(&"seven".to_string())),
            entry("number", Some(&7_u64)),
            entry("gone", None),
        ])
    }

    fn panic_of(f: impl FnOnce()) -> String {
        let told = Cause::of(|| {
            f();
            Ok(())
        });
        told.expect_err("this must panic").to_string()
    }

    #[test]
    fn values_that_came_as_bytes_are_read_through_a_shared_dict() {
        let dict = from_broker();
        assert_eq!(dict.names().collect::<Vec<_>>(), ["number", "text"]);
        assert_eq!(format!("{dict:?}"), r#"Dict {"number", "text"}"#);
        assert_eq!((dict.len(), dict.is_empty()), (2, false));
        assert_eq!((dict.get(NUMBER), dict.get(TEXT)), (Some(7), Some("seven".to_string())));
        assert!(std::ptr::eq(dict.get_ref(NUMBER).unwrap(), dict.get_ref(NUMBER).unwrap()));
        assert_eq!((dict.get(GONE), dict.contains(GONE), dict.contains(TEXT)), (None, false, true));
    }

    #[test]
    fn values_that_came_as_bytes_are_changed_like_others() {
        for looked_at in [false, true] {
            let mut dict = from_broker();
            if looked_at {
                assert!(dict.contains(NUMBER) && dict.contains(TEXT));
            }
            *dict.get_mut(NUMBER).unwrap() += 1;
            assert_eq!((dict.len(), dict.insert(NUMBER, 9)), (2, Some(8)));
            assert_eq!((dict.remove(TEXT), dict.remove(TEXT)), (Some("seven".to_string()), None));
            assert_eq!(dict.names().collect::<Vec<_>>(), ["number"]);
            dict.entry(NUMBER).and_modify(|number| *number += 1).or_insert(0);
            dict.entry(GONE).or_insert(1);
            assert_eq!((dict.get(NUMBER), dict.get(GONE), dict.len()), (Some(10), Some(1), 2));
        }
        let mut dict = from_broker();
        assert_eq!(dict.insert(TEXT, "eight".to_string()), Some("seven".to_string()));
        assert_eq!((dict.entry(NUMBER).or_insert(0), 2), (&mut 7, 2));
        let mut dict = from_broker();
        dict.merge(Key::<crate::Sum<u64>>::new("sum"), crate::Sum(1));
        assert_eq!((dict.remove(NUMBER), dict.len()), (Some(7), 2));
    }

    #[test]
    fn bytes_of_another_type_panic_and_stay() {
        let mut dict = from_broker();
        let text = "the dict's entry \"number\" holds a u64, not a alloc::string::String: \
                    two keys share one name";
        for _ in 0..2 {
            assert!(panic_of(|| drop(dict.get(NUMBER_AS_TEXT))).contains(text));
            assert!(panic_of(|| drop(dict.insert(NUMBER_AS_TEXT, String::new()))).contains(text));
            assert!(panic_of(|| drop(dict.remove(NUMBER_AS_TEXT))).contains(text));
            // From here on it is decoded.
            assert_eq!(dict.get(NUMBER), Some(7));
        }
    }

    #[test]
    fn bytes_that_cannot_be_read_panic_and_name_the_key() {
        let mut broken = entry("text", Some(&"seven".to_string()));
        broken.value.as_mut().unwrap().bytes.0.truncate(3);
        let mut dict = Dict::from_entries(vec![broken]);
        let text = "the dict's entry \"text\" cannot be read from 3 bytes: ";
        for _ in 0..2 {
            assert!(panic_of(|| drop(dict.get(TEXT))).contains(text));
            assert!(panic_of(|| _ = dict.get_mut(TEXT)).contains(text));
            assert_eq!(dict.len(), 1);
        }
    }
}
