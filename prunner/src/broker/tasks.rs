//! Tasks as bytes, one after the other.

use std::{fmt, mem, ops::Range, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec::Bytes;

/// Tasks as bytes, each with its length before it. A broker cuts them apart and never decodes them.
///
/// Those that have come from elsewhere are cheap to clone.
///
/// ```
/// use prunner::broker::{Malformed, Tasks};
///
/// let mut tasks = Tasks::one(b"first");
/// tasks.push(b"second");
/// assert_eq!((tasks.len(), tasks.is_empty()), (2, false));
/// assert!(tasks.size() >= b"firstsecond".len());
/// assert!(tasks.check().is_ok(), "what was pushed can be cut apart");
/// let all: Result<Vec<&[u8]>, Malformed> = tasks.iter().collect();
/// assert_eq!(all.unwrap(), [&b"first"[..], b"second"]);
/// assert_eq!(Tasks::new(), Tasks::default());
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tasks {
    count: u32,
    /// For each task its length, little-endian in four bytes, and its bytes.
    bytes: Store,
}

/// Bytes that are not changed any more are shared: a broker has them in its queue, in a lease and on
/// their way to a worker.
#[derive(Clone)]
enum Store {
    Growing(Vec<u8>),
    Shared(Arc<Vec<u8>>),
}

impl Store {
    fn bytes(&self) -> &[u8] {
        match self {
            Store::Growing(bytes) => bytes,
            Store::Shared(bytes) => bytes,
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Store::Growing(bytes) => bytes,
            Store::Shared(bytes) => Arc::unwrap_or_clone(bytes),
        }
    }

    fn growing(&mut self) -> &mut Vec<u8> {
        if let Store::Shared(_) = self {
            *self = Store::Growing(mem::take(self).into_bytes());
        }
        match self {
            Store::Growing(bytes) => bytes,
            Store::Shared(_) => unreachable!("it was made to grow above"),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Store::Growing(Vec::new())
    }
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Store {}

impl Serialize for Store {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.bytes())
    }
}

impl<'de> Deserialize<'de> for Store {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bytes::deserialize(deserializer).map(|bytes| Store::Shared(Arc::new(bytes.0)))
    }
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
        let bytes = self.bytes.growing();
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(task);
        self.count += 1;
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
        self.bytes.bytes().len()
    }

    /// All bytes, lengths included.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes(self.bytes.into_bytes())
    }

    /// Makes them cheap to clone: no more will be added.
    pub(crate) fn share(self) -> Self {
        Self { count: self.count, bytes: Store::Shared(Arc::new(self.bytes.into_bytes())) }
    }

    /// The bytes of the task at `place`, as a [`Cursor`] has found it.
    pub(crate) fn at(&self, place: Range<usize>) -> &[u8] {
        &self.bytes.bytes()[place]
    }

    /// The bytes of each task.
    ///
    /// What comes from outside may claim lengths that are not there: that is an error, after which
    /// nothing follows.
    pub fn iter(&self) -> impl Iterator<Item = Result<&[u8], Malformed>> {
        let mut cursor = Cursor::begin(self);
        std::iter::from_fn(move || {
            let place = cursor.next(self)?;
            Some(place.map(|place| &self.bytes.bytes()[place]))
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

/// How far somebody has come with some tasks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    at: usize,
    end: usize,
    left: u32,
}

impl Cursor {
    /// Before the first of `tasks`.
    pub(crate) fn begin(tasks: &Tasks) -> Self {
        Self { at: 0, end: tasks.size(), left: tasks.count }
    }

    /// Whether nothing follows.
    pub(crate) fn is_at_end(&self) -> bool {
        self.left == 0 && self.at == self.end
    }

    /// How many tasks follow, if what was claimed is true.
    pub(crate) fn left(&self) -> usize {
        self.left as usize
    }

    /// Where the next of `tasks` is. After an error nothing follows.
    pub(crate) fn next(&mut self, tasks: &Tasks) -> Option<Result<Range<usize>, Malformed>> {
        if self.is_at_end() {
            return None;
        }
        let rest = &tasks.bytes.bytes()[self.at..self.end];
        let place = match self.left {
            0 => None,
            _ => length(rest).map(|length| self.at + LENGTH..self.at + LENGTH + length),
        };
        let Some(place) = place else {
            (self.at, self.left) = (self.end, 0);
            return Some(Err(Malformed));
        };
        (self.at, self.left) = (place.end, self.left - 1);
        Some(Ok(place))
    }
}

/// How long the first task of `rest` is, if all of it is there.
fn length(rest: &[u8]) -> Option<usize> {
    let (length, after) = rest.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    (length <= after.len()).then_some(length)
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tasks({} in {} bytes)", self.len(), self.size())
    }
}

/// Tasks whose lengths do not fit their bytes.
///
/// ```
/// use prunner::broker::Malformed;
///
/// assert_eq!(Malformed.to_string(), "the lengths of the tasks do not fit their bytes");
/// ```
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
        Tasks { count, bytes: Store::Growing(bytes.to_vec()) }
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
