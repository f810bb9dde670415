//! What one worker counts for each label.

use std::{collections::HashMap, mem::needs_drop, time::Duration};

use crate::{
    stats::{LabelStats, Times},
    task::Labeled,
    text,
};

/// Counts and times by label, kept by one worker for itself.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The labels that are found at once, in a place that follows from their id.
    near: Box<[Clicker; NEAR]>,
    /// Clickers of labels whose places in `near` are taken by others.
    far: HashMap<u64, Clicker>,
    /// What is needed only now and then, by the clickers' `row`.
    rows: Vec<LabelStats>,
    /// The label of the task that was started last, where tasks have destructors: those may panic, and
    /// the task is gone then.
    last: u64,
}

/// What is needed with every task of one label.
#[derive(Clone, Copy, Debug)]
struct Clicker {
    id: u64,
    /// Attempts until one is measured; counts down, so that one comparison tells everything.
    left: u64,
    /// Attempts that will have been started when `left` is 0; 0 means that this clicker is free.
    due: u64,
    row: usize,
}

impl Clicker {
    fn started(&self) -> u64 {
        self.due - self.left
    }
}

const NEAR: usize = 64;
const PROBES: usize = 4;
const FREE: Clicker = Clicker { id: 0, left: 1, due: 0, row: 0 };

impl Meter {
    pub(crate) fn new() -> Self {
        Self { near: Box::new([FREE; NEAR]), far: HashMap::new(), rows: Vec::new(), last: 0 }
    }

    /// Counts a task that is about to run; true if it is to be [measured](Meter::measured).
    #[inline(always)]
    pub(crate) fn start<T: Labeled>(&mut self, task: &T) -> bool {
        let id = task.label_id();
        if needs_drop::<T>() {
            self.last = id;
        }
        let clicker = &mut self.near[id as usize % NEAR];
        if clicker.id == id && clicker.left > 1 {
            clicker.left -= 1;
            return false;
        }
        self.start_otherwise(id, task.label())
    }

    /// The first task of its label, one to be measured, or one whose clicker is elsewhere.
    #[cold]
    #[inline(never)]
    fn start_otherwise(&mut self, id: u64, label: &str) -> bool {
        let row = self.rows.len();
        let clicker = self.clicker(id);
        if clicker.due == 0 {
            *clicker = Clicker { id, left: 0, due: 1, row };
            self.rows.push(LabelStats {
                id,
                label: text::label(label).into(),
                started: 0,
                dead: 0,
                times: Times::new(),
            });
            return true;
        }
        // It is 0 already if the program's label panicked when the last one was to be measured.
        clicker.left = clicker.left.saturating_sub(1);
        clicker.left == 0
    }

    /// The clicker of `id`, or a free one for it.
    fn clicker(&mut self, id: u64) -> &mut Clicker {
        let near = (0..PROBES)
            .map(|probe| (id as usize + probe) % NEAR)
            .find(|&at| self.near[at].due == 0 || self.near[at].id == id);
        match near {
            Some(at) => &mut self.near[at],
            None => self.far.entry(id).or_insert(FREE),
        }
    }

    /// Notes how long a task took that was to be measured.
    #[cold]
    #[inline(never)]
    pub(crate) fn measured(&mut self, task: &impl Labeled, took: Duration) {
        let Clicker { row, due, .. } = *self.clicker(task.label_id());
        let left = self.rows[row].times.add(took, due);
        let clicker = self.clicker(task.label_id());
        (clicker.left, clicker.due) = (left, due + left);
    }

    /// Notes that a task died.
    pub(crate) fn died(&mut self, task: &impl Labeled) {
        let Clicker { row, due, .. } = *self.clicker(task.label_id());
        // A label that panicked when the task was started has no row.
        if due > 0 {
            self.rows[row].dead += 1;
        }
    }

    /// Notes that the task died that was started last; returns its label.
    pub(crate) fn last_died(&mut self) -> String {
        let Clicker { row, .. } = *self.clicker(self.last);
        let row = &mut self.rows[row];
        row.dead += 1;
        row.label.to_string()
    }

    /// All rows.
    pub(crate) fn into_rows(mut self) -> Vec<LabelStats> {
        let mut rows = std::mem::take(&mut self.rows);
        for row in &mut rows {
            row.started = self.clicker(row.id).started();
        }
        rows
    }
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
        let mut meter = Meter::new();
        for round in 1..=3 {
            for id in (0..200).chain((1..100).map(|page| page << 12)) {
                if meter.start(&Numbered(id)) {
                    meter.measured(&Numbered(id), Duration::from_nanos(100));
                }
                assert_eq!(meter.clicker(id).started(), round, "label {id}");
            }
        }
        let rows = meter.into_rows();
        assert_eq!(rows.len(), 299);
        assert!(rows.iter().all(|row| row.started == 3));
    }
}
