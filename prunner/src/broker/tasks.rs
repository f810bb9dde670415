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

    /// All bytes, lengths included.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Tasks as they may come from outside.
    fn claimed(count: u32, bytes: &[u8]) -> Tasks {
        Tasks { count, bytes: Bytes(bytes.to_vec()) }
    }

    #[test]
    fn what_was_pushed_comes_out() {
        let mut tasks = Tasks::one(b"first");
        tasks.push(b"");
        tasks.push(b"third");
        let all: Result<Vec<_>, _> = tasks.iter().collect();
        assert_eq!(all, Ok(vec![&b"first"[..], b"", b"third"]));
        assert_eq!((tasks.len(), tasks.size(), tasks.check()), (3, 3 * 4 + 10, Ok(())));
    }

    #[test]
    fn a_task_that_cannot_be_written_leaves_nothing() {
        let mut tasks = Tasks::one(b"first");
        let half_written = tasks.push_with(|bytes| {
            bytes.extend_from_slice(b"half");
            Err("no more")
        });
        assert_eq!((half_written, &tasks), (Err("no more"), &Tasks::one(b"first")));
        let written = tasks.push_with(|bytes| {
            bytes.extend_from_slice(b"second");
            Ok::<_, ()>(())
        });
        let mut both = Tasks::one(b"first");
        both.push(b"second");
        assert_eq!((written, tasks), (Ok(()), both));
    }

    #[test]
    fn lengths_that_do_not_fit_are_an_error_and_the_last_item() {
        let hostile = [
            claimed(1, b""),
            claimed(1, b"\x01\0\0"),
            claimed(1, b"\x02\0\0\0a"),
            claimed(1, b"\xff\xff\xff\xffa"),
            claimed(u32::MAX, b""),
            claimed(0, b"\0\0\0\0"),
            claimed(0, b"a"),
        ];
        for tasks in hostile {
            let all: Vec<_> = tasks.iter().collect();
            assert_eq!(all, [Err(Malformed)], "{tasks:?}");
            assert_eq!(tasks.check(), Err(Malformed), "{tasks:?}");
        }
    }

    #[test]
    fn good_tasks_before_a_bad_one_are_shown() {
        for bytes in [&b"\x01\0\0\0a\x02\0\0\0b"[..], b"\x01\0\0\0a"] {
            let all: Vec<_> = claimed(2, bytes).iter().map(|it| it.map(<[u8]>::to_vec)).collect();
            assert_eq!(all, [Ok(b"a".to_vec()), Err(Malformed)]);
        }
        let all: Vec<_> = claimed(1, b"\x01\0\0\0a!").iter().map(|it| it.is_ok()).collect();
        assert_eq!(all, [true, false], "bytes are left over");
    }

    #[test]
    fn an_iterator_that_has_failed_stays_at_its_end() {
        let tasks = claimed(3, b"\x09\0\0\0a");
        let mut items = tasks.iter();
        assert_eq!(items.next(), Some(Err(Malformed)));
        assert_eq!((items.next(), items.next()), (None, None));
    }
}
