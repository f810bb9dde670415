//! A comparison as a line of text.

use std::thread;
use std::time::Duration;

use crate::catalog::Entry;
use crate::harness::line::Line;
use crate::harness::rounds::Summary;
use crate::peers::NAMES;

/// The line of `entry` for what was measured with `workers` workers.
pub(crate) fn line(entry: &Entry, workers: usize, summaries: &[Summary]) -> Line {
    let find = |name: &str| summaries.iter().find(|summary| summary.name == name);
    let median = |name: &str| find(name).map(|summary| summary.median);
    let prunner = find("prunner").expect("prunner takes part in every comparison");
    let mut line = Line::new(entry.name, workers);
    for name in NAMES {
        line = line.optional(name, median(name));
    }
    line = line
        .ratio("rayon_ratio", median("rayon"), Some(prunner.median))
        .ratio("floor_ratio", Some(prunner.median), median("serial"))
        .number("cpu_wall", prunner.cpu_wall)
        .percent("spread", prunner.spread)
        .optional("rayon_cpu_wall", find("rayon").map(|rayon| rayon.cpu_wall));
    for (summary, tail) in summaries.iter().filter_map(|summary| Some((summary, summary.tail?))) {
        line = line.number(&format!("{}_p99", summary.name), tail);
    }
    match entry.length {
        Some(length) => line.field(
            "ideal",
            format_args!("{:.1}%", 100.0 * ideal(length, workers) / prunner.median),
        ),
        None => line,
    }
}

/// What a task of `length` takes at best, in ns: wall time shared by the cores that can be busy.
fn ideal(length: Duration, workers: usize) -> f64 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    length.as_nanos() as f64 / workers.min(cores) as f64
}
