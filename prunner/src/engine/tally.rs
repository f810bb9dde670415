//! What one worker counts for each label.

use std::time::{Duration, Instant};

use super::times::Times;
use crate::task::Labeled;

/// Counts and times by label, kept by one worker for itself.
#[derive(Debug)]
pub(crate) struct Tally {
    /// An open-addressing table: its length is a power of two and at most half of it is used.
    rows: Vec<Option<Row>>,
    used: usize,
}

/// What is known of one label.
#[derive(Debug)]
pub(crate) struct Row {
    id: u64,
    pub(crate) label: Box<str>,
    /// Attempts that were started.
    pub(crate) started: u64,
    pub(crate) dead: u64,
    pub(crate) times: Times,
}

/// The place of a row, from the start of a handler to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(usize);

const FIRST_ROWS: usize = 16;

impl Tally {
    pub(crate) fn new() -> Self {
        Self { rows: empty_rows(FIRST_ROWS), used: 0 }
    }

    /// Counts a task that is about to run; gives the time if it is to be measured.
    #[inline(always)]
    pub(crate) fn start(&mut self, task: &impl Labeled) -> (Place, Option<Instant>) {
        let id = task.label_id();
        let mut at = self.home(id);
        let at = loop {
            match &self.rows[at] {
                Some(row) if row.id == id => break at,
                Some(_) => at = (at + 1) & (self.rows.len() - 1),
                None => break self.add(id, task.label()),
            }
        };
        let row = self.row(Place(at));
        row.started += 1;
        let clock = row.times.is_due(row.started).then(Instant::now);
        (Place(at), clock)
    }

    /// Notes how long a measured task took.
    #[cold]
    pub(crate) fn measured(&mut self, place: Place, took: Duration) {
        let row = self.row(place);
        row.times.add(took, row.started);
    }

    /// Notes that a task died.
    pub(crate) fn died(&mut self, place: Place) {
        self.row(place).dead += 1;
    }

    /// All rows.
    pub(crate) fn into_rows(self) -> impl Iterator<Item = Row> {
        self.rows.into_iter().flatten()
    }

    #[inline(always)]
    fn row(&mut self, place: Place) -> &mut Row {
        self.rows[place.0].as_mut().expect("a row is never removed")
    }

    /// Where the row of `id` is looked for first (Fibonacci hashing: ids may be small numbers or
    /// addresses).
    #[inline(always)]
    fn home(&self, id: u64) -> usize {
        let hash = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> (64 - self.rows.len().trailing_zeros())) as usize
    }

    #[cold]
    fn add(&mut self, id: u64, label: &str) -> usize {
        if (self.used + 1) * 2 > self.rows.len() {
            let wider = empty_rows(self.rows.len() * 2);
            for row in std::mem::replace(&mut self.rows, wider).into_iter().flatten() {
                self.insert(row);
            }
        }
        self.used += 1;
        let times = Times::new();
        self.insert(Row { id, label: label.into(), started: 0, dead: 0, times })
    }

    fn insert(&mut self, row: Row) -> usize {
        let mut at = self.home(row.id);
        while self.rows[at].is_some() {
            at = (at + 1) & (self.rows.len() - 1);
        }
        self.rows[at] = Some(row);
        at
    }
}

fn empty_rows(rows: usize) -> Vec<Option<Row>> {
    std::iter::repeat_with(|| None).take(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbered(u64);

    impl Labeled for Numbered {
        fn label(&self) -> &str {
            if self.0.is_multiple_of(2) { "even" } else { "odd" }
        }

        fn label_id(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn every_id_has_its_row_however_many_there_are() {
        let mut tally = Tally::new();
        for round in 1..=3 {
            for id in (0..200).chain((1..100).map(|page| page << 12)) {
                let (place, _) = tally.start(&Numbered(id));
                assert_eq!(tally.row(place).id, id);
                assert_eq!(tally.row(place).started, round);
            }
        }
        assert_eq!(tally.into_rows().count(), 299);
    }
}
