//! The tasks of a lease, which stay where they came, and the one that runs.

use std::ops::Range;

use crate::broker::{Cursor, Malformed, Tasks};

/// The tasks of a lease and how far its worker has come with them.
#[derive(Default)]
pub(super) struct Roots {
    pub(super) tasks: Tasks,
    cursor: Cursor,
}

impl Roots {
    pub(super) fn of(tasks: &Tasks) -> Self {
        Self { tasks: tasks.clone(), cursor: Cursor::begin(tasks) }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<Result<Range<usize>, Malformed>> {
        self.cursor.next(&self.tasks)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.cursor.is_at_end()
    }

    /// How many tasks follow, if what was claimed is true.
    pub(super) fn left(&self) -> usize {
        self.cursor.left()
    }

    /// Leaves out those that follow. The one that runs stays.
    pub(super) fn close(&mut self) {
        self.cursor = Cursor::default();
    }

    /// Takes out those that were not started. If what follows is malformed, says so.
    pub(super) fn hand_on(&mut self, mut to: impl FnMut(&[u8])) -> Result<(), Malformed> {
        let mut malformed = Ok(());
        while let Some(place) = self.next() {
            match place {
                Ok(place) => to(self.tasks.at(place)),
                Err(error) => malformed = Err(error),
            }
        }
        malformed
    }
}

/// The task that runs: it may have to go on while the rest of its lease is given back.
pub(super) enum Running {
    /// One of the roots, at this place.
    Root(Range<usize>),
    /// A follow-up: its bytes are still in this lane.
    Local(usize, Range<usize>),
    /// A follow-up that has added others: its bytes.
    Apart(Vec<u8>),
}
