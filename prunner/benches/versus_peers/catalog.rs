//! The workloads with their sizes.

use std::time::Duration;

use crate::comparison::Comparison;
use crate::harness::rounds::Summary;
use crate::workloads::chain::Chain;
use crate::workloads::few::Few;
use crate::workloads::flat::Flat;
use crate::workloads::sum_up::{Locked, Mapped, Merged, SumUp};
use crate::workloads::tree::Tree;
use crate::workloads::uts::Uts;

/// A workload by name.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// The numbers of workers that it runs with unless the command line says otherwise.
    pub(crate) workers: &'static [usize],
    pub(crate) measure: fn(&Comparison<'_>) -> Vec<Summary>,
    /// What a task takes by itself, where that is known.
    pub(crate) length: Option<Duration>,
}

const CORES: &[usize] = &[1, 2];

/// Without a second worker there is nothing to see.
const AT_LEAST_TWO: &[usize] = &[2, 10];

const ONE_US: Duration = Duration::from_micros(1);
const TEN_US: Duration = Duration::from_micros(10);
const HUNDRED_US: Duration = Duration::from_micros(100);
const TWO_MS: Duration = Duration::from_millis(2);

/// Every workload, in the order in which they run.
pub(crate) const ENTRIES: &[Entry] = &[
    Entry::new("sum_merge", CORES, |c| c.per_task(1_000_000, SumUp::<Merged>::new)),
    Entry::new("sum_lock", CORES, |c| c.per_task(500_000, SumUp::<Locked>::new)),
    Entry::new("sum_map", CORES, |c| c.per_task(500_000, SumUp::<Mapped>::new)),
    Entry::new("flat", CORES, |c| c.per_task(1_000_000, Flat::new)),
    Entry::new("tree", CORES, |c| c.per_task(1 << 21, Tree::new)),
    Entry::new("uts", CORES, |c| c.per_task(2_000, Uts::new)),
    Entry::new("chain", CORES, |c| c.per_task(1_000_000, Chain::new)),
    Entry::spin("spin1us", ONE_US, |c| c.per_spin(100_000, ONE_US)),
    Entry::spin("spin10us", TEN_US, |c| c.per_spin(10_000, TEN_US)),
    Entry::spin("spin100us", HUNDRED_US, |c| c.per_spin(1_000, HUNDRED_US)),
    Entry::spin("spin2ms", TWO_MS, |c| c.per_spin(64, TWO_MS)),
    Entry::new("one_task", AT_LEAST_TWO, |c| c.per_run(Few::One)),
    Entry::new("zero_tasks", AT_LEAST_TWO, |c| c.per_run(Few::Zero)),
    Entry::new("wake", AT_LEAST_TWO, |c| c.wake(Duration::from_micros(200))),
    Entry::new("idle", AT_LEAST_TWO, |c| c.idle(Duration::from_secs(2))),
];

impl Entry {
    const fn new(
        name: &'static str,
        workers: &'static [usize],
        measure: fn(&Comparison<'_>) -> Vec<Summary>,
    ) -> Entry {
        Entry { name, workers, measure, length: None }
    }

    const fn spin(
        name: &'static str,
        length: Duration,
        measure: fn(&Comparison<'_>) -> Vec<Summary>,
    ) -> Entry {
        Entry { name, workers: CORES, measure, length: Some(length) }
    }
}
