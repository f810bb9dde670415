//! What a worker counts for each label between two commits.

use std::time::Duration;

use crate::{broker::LabelCount, engine::Times, task::Labeled, text};

/// Counts and times by label.
///
/// The threads engine counts for a whole run and can afford a table; here the counts leave with each
/// commit, and a run has a handful of labels.
#[derive(Debug, Default)]
pub(super) struct Counts {
    rows: Vec<Row>,
    /// The row that was used last.
    last: usize,
}

#[derive(Debug)]
struct Row {
    id: u64,
    label: String,
    /// Since the last commit.
    finished: u64,
    dead: u64,
    /// Tasks that were started, ever, and the one of them that is measured next.
    started: u64,
    due: u64,
    times: Times,
}

impl Counts {
    /// Notes that a task starts; true if it is to be measured.
    pub(super) fn start(&mut self, task: &impl Labeled) -> bool {
        let row = self.row(task);
        row.started += 1;
        row.started == row.due
    }

    /// Notes how long the task took that was to be measured.
    #[cold]
    pub(super) fn measured(&mut self, took: Duration) {
        let row = &mut self.rows[self.last];
        row.due = row.started + row.times.add(took, row.started);
    }

    /// Notes that the task that was started last has finished.
    pub(super) fn finish(&mut self) {
        self.rows[self.last].finished += 1;
    }

    /// Notes that the task that was started last has died.
    pub(super) fn die(&mut self) {
        self.rows[self.last].dead += 1;
    }

    /// Notes that a task has died before it could be started.
    pub(super) fn dead_on_arrival(&mut self, label: &str) {
        let at = self.rows.iter().position(|row| row.label == label);
        let at = at.unwrap_or_else(|| self.add(u64::MAX, label.to_string()));
        self.rows[at].dead += 1;
    }

    /// Takes the counts out.
    pub(super) fn take(&mut self) -> Vec<LabelCount> {
        let told = self.rows.iter_mut().filter(|row| row.finished + row.dead > 0);
        told.map(|row| LabelCount {
            label: row.label.clone(),
            finished: std::mem::take(&mut row.finished),
            dead: std::mem::take(&mut row.dead),
            times: row.times.take(),
        })
        .collect()
    }

    fn row(&mut self, task: &impl Labeled) -> &mut Row {
        let id = task.label_id();
        if self.rows.get(self.last).is_none_or(|row| row.id != id) {
            let at = self.rows.iter().position(|row| row.id == id);
            self.last = at.unwrap_or_else(|| self.add(id, text::label(task.label())));
        }
        &mut self.rows[self.last]
    }

    #[cold]
    fn add(&mut self, id: u64, label: String) -> usize {
        let times = Times::new();
        self.rows.push(Row { id, label, finished: 0, dead: 0, started: 0, due: 1, times });
        self.rows.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;

    #[test]
    fn counts_leave_once_and_times_with_them() {
        let mut counts = Counts::default();
        let (a, b) = (Task::new("a", ()), Task::new("b", ()));
        for _ in 0..3 {
            if counts.start(&a) {
                counts.measured(Duration::from_millis(1));
            }
            counts.finish();
        }
        counts.start(&b);
        counts.die();
        let told = counts.take();
        let numbers = |count: &LabelCount| (count.finished, count.dead, count.times.tasks);
        assert_eq!(told.iter().map(numbers).collect::<Vec<_>>(), [(3, 0, 3), (0, 1, 0)]);
        assert_eq!(counts.take(), []);
    }
}
