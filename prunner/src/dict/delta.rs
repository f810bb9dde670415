//! What finished tasks have merged, on its way to a commit.

use std::fmt;

use super::{Dict, Key, Merge, Value, key::KeyId};
use crate::{broker::Encoded, codec};

/// What finished tasks have merged into one entry.
pub(super) trait Delta: Send + fmt::Debug {
    fn key(&self) -> KeyId;

    /// Makes one value of what was taken.
    fn combine(&mut self);

    /// Keeps its bytes, so that it can be merged more than once.
    fn encode(&mut self) -> Result<(), String>;

    /// Merges it into the entry.
    fn merge_into(&mut self, dict: &mut Dict) -> Result<(), String>;

    /// Sets the entry to another value of the same type.
    fn set_base(&self, dict: &mut Dict, base: Option<&Encoded>) -> Result<(), String>;
}

/// A [`Delta`] of its type.
pub(super) struct Merged<V> {
    key: Key<V>,
    /// There until it is merged.
    value: Option<V>,
    /// What the last task has merged, there until the two are one.
    last: Option<V>,
    bytes: Vec<u8>,
}

impl<V> Merged<V> {
    pub(super) fn new(key: Key<V>, value: V, last: Option<V>) -> Self {
        Self { key, value: Some(value), last, bytes: Vec::new() }
    }
}

impl<V: Value + Merge> Delta for Merged<V> {
    fn key(&self) -> KeyId {
        self.key.id()
    }

    fn combine(&mut self) {
        if let (Some(value), Some(last)) = (&mut self.value, self.last.take()) {
            value.merge(last);
        }
    }

    fn encode(&mut self) -> Result<(), String> {
        let Some(value) = &self.value else { return Ok(()) };
        let written = codec::encode(value, &mut self.bytes);
        written.map_err(|error| format!("what was merged into {:?} {error}", self.key.name()))
    }

    fn merge_into(&mut self, dict: &mut Dict) -> Result<(), String> {
        let value = match self.value.take() {
            Some(value) => value,
            None => codec::decode(&self.bytes)
                .map_err(|error| format!("what was merged into {:?} {error}", self.key.name()))?,
        };
        dict.merge(self.key, value);
        Ok(())
    }

    fn set_base(&self, dict: &mut Dict, base: Option<&Encoded>) -> Result<(), String> {
        dict.set(self.key, base)
    }
}

impl<V> fmt::Debug for Merged<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merged").field("key", &self.key).finish_non_exhaustive()
    }
}
