//! What is counted of each label.

use std::{mem, time::Duration};

use super::Times;
use crate::{broker::LabelCount, text};

/// The counts and times of one label.
#[derive(Debug)]
pub(crate) struct LabelStats {
    pub(crate) label: String,
    pub(crate) finished: u64,
    pub(crate) dead: u64,
    pub(crate) times: Times,
}

/// The counts and times of some labels, each in a row.
#[derive(Debug, Default)]
pub(crate) struct LabelTable {
    rows: Vec<LabelStats>,
}

impl LabelTable {
    /// Adds a row for a label that has none, or whose tasks are told apart by their ids. Returns its
    /// number.
    #[cold]
    pub(crate) fn add(&mut self, label: &str) -> usize {
        let label = text::label(label);
        self.rows.push(LabelStats { label, finished: 0, dead: 0, times: Times::new() });
        self.rows.len() - 1
    }

    /// The row of a label that may have none.
    #[cold]
    pub(crate) fn row(&mut self, label: &str) -> usize {
        let shortened = text::label(label);
        let there = self.rows.iter().position(|row| row.label == shortened);
        there.unwrap_or_else(|| self.add(label))
    }

    /// The label of a row.
    pub(crate) fn label(&self, row: usize) -> Option<&str> {
        self.rows.get(row).map(|row| &*row.label)
    }

    /// Notes how long the `started`th task of a label took; returns after how many more the next one is
    /// to be measured.
    #[cold]
    pub(crate) fn measured(&mut self, row: usize, took: Duration, started: u64) -> u64 {
        self.rows[row].times.add(took, started)
    }

    /// Notes that a task has finished.
    #[inline]
    pub(crate) fn finish(&mut self, row: usize) {
        self.rows[row].finished += 1;
    }

    /// Notes that a task has died.
    pub(crate) fn die(&mut self, row: usize) {
        self.rows[row].dead += 1;
    }

    /// Notes how many tasks of a label were started in all: those that have not died have finished.
    pub(crate) fn started(&mut self, row: usize, tasks: u64) {
        let row = &mut self.rows[row];
        // Only labels that panic now and then make this anything but exact.
        row.finished = tasks.saturating_sub(row.dead);
    }

    /// Takes the counts out.
    pub(crate) fn take(&mut self) -> Vec<LabelCount> {
        let counted = self.rows.iter_mut().filter(|row| row.finished + row.dead > 0);
        counted
            .map(|row| LabelCount {
                label: row.label.clone(),
                finished: mem::take(&mut row.finished),
                dead: mem::take(&mut row.dead),
                times: row.times.take(),
            })
            .collect()
    }

    pub(crate) fn into_rows(self) -> Vec<LabelStats> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_leave_once_and_times_with_them() {
        let mut table = LabelTable::default();
        let a = table.row("a");
        for started in 1..=3 {
            table.measured(a, Duration::from_millis(1), started);
            table.finish(a);
        }
        let b = table.row("b");
        table.die(b);
        let taken = table.take();
        let numbers = |count: &LabelCount| (count.finished, count.dead, count.times.tasks);
        assert_eq!(taken.iter().map(numbers).collect::<Vec<_>>(), [(3, 0, 3), (0, 1, 0)]);
        assert_eq!(table.take(), []);
        assert_eq!((table.row("b"), table.label(b), table.label(2)), (b, Some("b"), None));
        assert_eq!((table.add("b"), table.row("b")), (2, b));
    }
}
