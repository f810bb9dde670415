//! Tasks as bytes, one after the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::Bytes;

/// Tasks as bytes, each with its length before it. A broker cuts them apart and never decodes them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tasks {
    count: u32,
    /// For each task its length, little-endian in four bytes, and its bytes.
    bytes: Bytes,
}

/// How many bytes a length takes.
const LENGTH: usize = size_of::<u32>();

impl Tasks {
    /// No tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// A single task.
    pub fn one(task: &[u8]) -> Self {
        let mut tasks = Self::new();
        tasks.push(task);
        tasks
    }

    /// Adds a task.
    ///
    /// # Panics
    ///
    /// When it is 4 GiB long or longer.
    pub fn push(&mut self, task: &[u8]) {
        let length = u32::try_from(task.len()).expect("a task is shorter than 4 GiB");
        self.bytes.0.extend_from_slice(&length.to_le_bytes());
        self.bytes.0.extend_from_slice(task);
        self.count += 1;
    }

    /// Adds a task that `write` writes; none if it fails.
    ///
    /// # Errors
    ///
    /// The error of `write`.
    pub(crate) fn push_with<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = &mut self.bytes.0;
        let start = bytes.len();
        bytes.extend_from_slice(&[0; LENGTH]);
        if let Err(error) = write(bytes) {
            bytes.truncate(start);
            return Err(error);
        }
        let length = bytes.len() - start - LENGTH;
        let length = u32::try_from(length).expect("a task is shorter than 4 GiB");
        bytes[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
        Ok(())
    }

    /// How many tasks there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes all of them take.
    pub fn size(&self) -> usize {
        self.bytes.0.len()
    }

    /// The bytes of each task.
    ///
    /// What comes from outside may claim lengths that are not there: that is an error, after which
    /// nothing follows.
    pub fn iter(&self) -> impl Iterator<Item = Result<&[u8], Malformed>> {
        let mut rest: &[u8] = &self.bytes.0;
        let mut left = self.count;
        std::iter::from_fn(move || {
            if left == 0 {
                let surplus = !rest.is_empty();
                rest = &[];
                return surplus.then_some(Err(Malformed));
            }
            left -= 1;
            let Some(task) = take(&mut rest) else {
                (left, rest) = (0, &[]);
                return Some(Err(Malformed));
            };
            Some(Ok(task))
        })
    }

    /// Whether the lengths fit the bytes.
    ///
    /// # Errors
    ///
    /// When they do not.
    pub fn check(&self) -> Result<(), Malformed> {
        self.iter().try_for_each(|task| task.map(|_| ()))
    }
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (task, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(task)
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tasks({} in {} bytes)", self.len(), self.size())
    }
}

/// Tasks whose lengths do not fit their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lengths of the tasks do not fit their bytes")
    }
}

impl std::error::Error for Malformed {}
