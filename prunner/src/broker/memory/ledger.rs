//! What commits have counted.

use std::collections::BTreeMap;

use crate::broker::{Commit, DeadLetter, KEPT_DEAD_LETTERS, LabelCount, Outcome, Timing};

/// Sums that stop at the largest number: what comes from outside may be anything.
#[derive(Default)]
pub(super) struct Ledger {
    posted: u64,
    labels: BTreeMap<String, Label>,
    crashed: u64,
    dead: Vec<DeadLetter>,
    returned: u64,
}

/// A [`LabelCount`] to which more can be added.
#[derive(Default)]
struct Label {
    finished: u64,
    dead: u64,
    tasks: u64,
    nanos: u64,
    samples: BTreeMap<u64, u64>,
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

impl Ledger {
    pub(super) fn add(&mut self, commit: &Commit) {
        add(&mut self.posted, commit.posted);
        for count in &commit.labels {
            self.labels.entry(count.label.clone()).or_default().add(count);
        }
        commit.dead.iter().for_each(|letter| self.keep(letter));
    }

    /// Counts a lease that came back.
    pub(super) fn count_returned(&mut self) {
        add(&mut self.returned, 1);
    }

    /// Counts tasks that died because their workers did, or were lost, and of which nothing else is known.
    pub(super) fn count_crashed(&mut self, tasks: usize, letter: &DeadLetter) {
        add(&mut self.crashed, tasks as u64);
        self.keep(letter);
    }

    pub(super) fn crashed(&self) -> u64 {
        self.crashed
    }

    fn keep(&mut self, letter: &DeadLetter) {
        if self.dead.len() < KEPT_DEAD_LETTERS {
            self.dead.push(letter.clone());
        }
    }

    /// The outcome, but for the dict and what is left.
    pub(super) fn outcome(&self) -> Outcome {
        Outcome {
            posted: self.posted,
            labels: self.labels.iter().map(|(name, label)| label.count(name)).collect(),
            crashed: self.crashed,
            dead: self.dead.clone(),
            entries: Vec::new(),
            left: 0,
            returned: self.returned,
        }
    }
}

impl Label {
    fn add(&mut self, more: &LabelCount) {
        add(&mut self.finished, more.finished);
        add(&mut self.dead, more.dead);
        add(&mut self.tasks, more.times.tasks);
        add(&mut self.nanos, more.times.nanos);
        for &(nanos, times) in &more.times.samples {
            add(self.samples.entry(nanos).or_default(), times);
        }
    }

    fn count(&self, name: &str) -> LabelCount {
        let samples = self.samples.iter().map(|(&nanos, &times)| (nanos, times)).collect();
        LabelCount {
            label: name.to_owned(),
            finished: self.finished,
            dead: self.dead,
            times: Timing { tasks: self.tasks, nanos: self.nanos, samples },
        }
    }
}
