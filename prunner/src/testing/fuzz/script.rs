//! How bytes are cut into calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;

use crate::{broker::Clock, codec};

/// Calls one after the other: a byte that says which, and often bytes of its own, whose length comes
/// first, little-endian in two bytes. What is cut short is as long as there are bytes.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (bytes, rest) = rest.split_at(length);
        self.0 = rest;
        Some(bytes)
    }
}

/// Appends a value as [`Script::bytes`] reads it.
pub(crate) fn write_value(value: &impl Serialize, script: &mut Vec<u8>) {
    write_bytes(&codec::to_bytes(value).expect("a seed can be written"), script);
}

/// Appends bytes as [`Script::bytes`] reads them.
pub(crate) fn write_bytes(bytes: &[u8], script: &mut Vec<u8>) {
    let length = u16::try_from(bytes.len()).expect("a seed is short");
    script.extend_from_slice(&length.to_le_bytes());
    script.extend_from_slice(bytes);
}

/// A clock that moves when the script says so.
#[derive(Clone, Default)]
pub(crate) struct ScriptClock(Arc<AtomicU64>);

impl ScriptClock {
    pub(crate) fn pass(&self, seconds: u8) {
        self.0.fetch_add(u64::from(seconds), Ordering::Relaxed);
    }
}

impl Clock for ScriptClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}
