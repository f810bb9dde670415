//! What handlers note down in a file while their processes are killed.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Something that a handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It starts.
    Start,
    /// It changes the dict.
    Effect,
    /// It returns.
    Return,
}

/// A file to which all workers append.
#[derive(Debug)]
pub struct Logbook(File);

/// How often something was done on behalf of one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Handlers that have started.
    pub starts: u64,
    /// Changes of the dict.
    pub effects: u64,
    /// Handlers that have returned.
    pub returns: u64,
}

/// The kind, then the task's number.
const RECORD: usize = 9;

impl Logbook {
    /// Opens or makes the file.
    ///
    /// # Errors
    ///
    /// As `open(2)`.
    pub fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().append(true).create(true).open(path).map(Self)
    }

    /// Notes what is done for the task of that number. A record is in the file when this returns, even
    /// if the process is killed in the next moment.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn note(&self, deed: Deed, task: u64) {
        let mut record = [deed as u8; RECORD];
        record[1..].copy_from_slice(&task.to_le_bytes());
        (&self.0).write_all(&record).expect("there is room for a record");
    }

    /// All that was noted, by task.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is no logbook.
    pub fn read(path: &Path) -> io::Result<HashMap<u64, Entry>> {
        let bytes = std::fs::read(path)?;
        let (records, rest) = bytes.as_chunks::<RECORD>();
        if !rest.is_empty() {
            return Err(io::Error::other("a record is torn"));
        }
        let mut entries: HashMap<u64, Entry> = HashMap::new();
        for [kind, task @ ..] in records {
            let entry = entries.entry(u64::from_le_bytes(*task)).or_default();
            match *kind {
                kind if kind == Deed::Start as u8 => entry.starts += 1,
                kind if kind == Deed::Effect as u8 => entry.effects += 1,
                kind if kind == Deed::Return as u8 => entry.returns += 1,
                kind => return Err(io::Error::other(format!("a record of kind {kind}"))),
            }
        }
        Ok(entries)
    }
}
