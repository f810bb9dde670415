//! What one worker counts for each label.

use std::{mem::needs_drop, time::Duration};

use crate::{
    handler::meter::Meter,
    stats::{LabelStats, LabelTable},
    task::Labeled,
};

/// Counts and times by label, kept by one worker for itself.
#[derive(Debug)]
pub(super) struct LabelCounts {
    meter: Meter,
    table: LabelTable,
    /// The label of the task that was started last, where tasks have destructors: those may panic, and
    /// the task is gone then.
    last: u64,
}

impl LabelCounts {
    pub(super) fn new() -> Self {
        Self { meter: Meter::new(), table: LabelTable::default(), last: 0 }
    }

    /// Counts a task that is about to run; true if it is to be [measured](LabelCounts::measured).
    #[inline(always)]
    pub(super) fn start<T: Labeled>(&mut self, task: &T) -> bool {
        let id = task.label_id();
        if needs_drop::<T>() {
            self.last = id;
        }
        match self.meter.start(id) {
            Some(start) => start.measure,
            None => self.start_first(id, task.label()),
        }
    }

    #[cold]
    #[inline(never)]
    fn start_first(&mut self, id: u64, label: &str) -> bool {
        let row = self.table.add(label);
        self.meter.start_first(id, row).measure
    }

    /// Notes how long a task took that was to be measured.
    #[cold]
    #[inline(never)]
    pub(super) fn measured(&mut self, task: &impl Labeled, took: Duration) {
        let id = task.label_id();
        if let Some(row) = self.meter.row(id) {
            let next = self.table.measured(row, took, self.meter.started(id));
            self.meter.measure_after(id, next);
        }
    }

    /// Notes that a task died.
    pub(super) fn died(&mut self, task: &impl Labeled) {
        // A label that panicked when the task was started has no row.
        if let Some(row) = self.meter.row(task.label_id()) {
            self.table.die(row);
        }
    }

    /// Notes that the task died that was started last; returns its label.
    pub(super) fn last_died(&mut self) -> String {
        let Some(row) = self.meter.row(self.last) else { return String::new() };
        self.table.die(row);
        self.table.label(row).unwrap_or_default().to_string()
    }

    pub(super) fn into_rows(mut self) -> Vec<LabelStats> {
        for (row, tasks) in self.meter.all_started() {
            self.table.started(row, tasks);
        }
        self.table.into_rows()
    }
}
