//! What a worker counts for each label between two commits.

use std::time::Duration;

use crate::{broker::LabelCount, stats::Times, text};

/// Which tasks of which labels were started, and which are to be measured. It belongs to the worker
/// alone.
#[derive(Debug, Default)]
pub(super) struct Meter {
    rows: Vec<Started>,
    /// The row that was used last.
    last: usize,
}

#[derive(Debug)]
struct Started {
    id: u64,
    /// The label's place in the [`Counts`].
    label: usize,
    /// Tasks that were started, ever, and the one of them that is measured next.
    started: u64,
    due: u64,
}

/// A task that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// Its label's place in the [`Counts`].
    pub(super) label: usize,
    /// Whether it is to be measured.
    pub(super) measure: bool,
}

impl Meter {
    /// Notes that a task starts whose label has this number; `None` if the label is new.
    #[inline]
    pub(super) fn start(&mut self, id: u64) -> Option<Start> {
        if self.rows.get(self.last).is_none_or(|row| row.id != id) {
            self.last = self.rows.iter().position(|row| row.id == id)?;
        }
        let row = &mut self.rows[self.last];
        row.started += 1;
        Some(Start { label: row.label, measure: row.started == row.due })
    }

    /// Notes that the first task of a label starts.
    #[cold]
    pub(super) fn start_first(&mut self, id: u64, label: usize) -> Start {
        self.last = self.rows.len();
        self.rows.push(Started { id, label, started: 1, due: 1 });
        Start { label, measure: true }
    }

    /// How many tasks of the last task's label were started.
    pub(super) fn started(&self) -> u64 {
        self.rows[self.last].started
    }

    /// Notes after how many tasks of the last one's label the next one is to be measured.
    #[cold]
    pub(super) fn measure_after(&mut self, tasks: u64) {
        let row = &mut self.rows[self.last];
        row.due = row.started + tasks;
    }
}

/// Counts and times by label, to leave with the next commit.
///
/// The threads engine counts for a whole run and can afford a table; here a run has a handful of labels.
#[derive(Debug, Default)]
pub(super) struct Counts {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    label: String,
    /// Since the last commit.
    finished: u64,
    dead: u64,
    times: Times,
}

impl Counts {
    /// The place of a label that may be new.
    #[cold]
    pub(super) fn place(&mut self, label: &str) -> usize {
        let label = text::label(label);
        let there = self.rows.iter().position(|row| row.label == label);
        there.unwrap_or_else(|| {
            let times = Times::new();
            self.rows.push(Row { label, finished: 0, dead: 0, times });
            self.rows.len() - 1
        })
    }

    /// The label at a place.
    pub(super) fn label(&self, place: usize) -> Option<&str> {
        self.rows.get(place).map(|row| &*row.label)
    }

    /// Notes how long the `started`th task of a label took; returns after how many more the next one is
    /// to be measured.
    #[cold]
    pub(super) fn measured(&mut self, place: usize, took: Duration, started: u64) -> u64 {
        self.rows[place].times.add(took, started)
    }

    /// Notes that a task has finished.
    #[inline]
    pub(super) fn finish(&mut self, place: usize) {
        self.rows[place].finished += 1;
    }

    /// Notes that a task has died.
    pub(super) fn die(&mut self, place: usize) {
        self.rows[place].dead += 1;
    }

    /// Takes the counts out.
    pub(super) fn take(&mut self) -> Vec<LabelCount> {
        let counted = self.rows.iter_mut().filter(|row| row.finished + row.dead > 0);
        counted
            .map(|row| LabelCount {
                label: row.label.clone(),
                finished: std::mem::take(&mut row.finished),
                dead: std::mem::take(&mut row.dead),
                times: row.times.take(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_leave_once_and_times_with_them() {
        let (mut meter, mut counts) = (Meter::default(), Counts::default());
        assert_eq!(meter.start(7), None);
        let mut start = meter.start_first(7, counts.place("a"));
        for _ in 0..3 {
            if start.measure {
                let next = counts.measured(start.label, Duration::from_millis(1), meter.started());
                meter.measure_after(next);
            }
            counts.finish(start.label);
            start = meter.start(7).expect("it is known");
        }
        let b = meter.start_first(8, counts.place("b"));
        counts.die(b.label);
        let taken = counts.take();
        let numbers = |count: &LabelCount| (count.finished, count.dead, count.times.tasks);
        assert_eq!(taken.iter().map(numbers).collect::<Vec<_>>(), [(3, 0, 3), (0, 1, 0)]);
        assert_eq!(counts.take(), []);
        assert_eq!((counts.place("b"), counts.label(1), counts.label(2)), (1, Some("b"), None));
        assert_eq!(meter.start(7).map(|start| start.label), Some(0));
    }
}
