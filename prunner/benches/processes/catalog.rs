//! The workloads with their sizes and goals.

use crate::comparison::Comparison;
use crate::harness::line::Line;

/// A workload by name.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// The numbers of workers that it runs with unless the command line says otherwise.
    pub(crate) workers: &'static [usize],
    pub(crate) measure: fn(&Comparison<'_>) -> Vec<Line>,
}

/// Every workload, in the order in which they run.
pub(crate) const ENTRIES: &[Entry] = &[
    Entry::new("sum_up", &[2, 10], |c| vec![c.sum_up(500_000)]),
    Entry::new("sum_up_calls", &[2, 10], |c| vec![c.sum_up_calls(500_000)]),
    Entry::new("program", &[10], |c| vec![c.program(2_000)]),
    Entry::new("flat", &[2], |c| vec![c.flat(100_000)]),
    Entry::new("payload", &[2], |c| vec![c.payload(200_000)]),
    Entry::new("memory", &[10], |c| vec![c.memory(20_000)]),
    Entry::new("start", &[10], |c| c.start()),
    Entry::new("spin100us", &[2], |c| vec![c.spin(5_000)]),
    Entry::new("gcd", &[2], |c| vec![c.gcd()]),
    Entry::new("steps", &[1], |c| c.steps()),
];

impl Entry {
    const fn new(
        name: &'static str,
        workers: &'static [usize],
        measure: fn(&Comparison<'_>) -> Vec<Line>,
    ) -> Entry {
        Entry { name, workers, measure }
    }
}
