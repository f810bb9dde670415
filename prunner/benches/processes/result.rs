//! A comparison as a line of text.

use crate::harness::line::Line;
use crate::harness::rounds::Summary;

/// The unit of a line's values.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    NanosATask,
    /// Of samples in nanoseconds.
    Millis,
    Mebibytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::NanosATask => "ns",
            Unit::Millis => "ms",
            Unit::Mebibytes => "MiB",
        }
    }

    fn of(self, value: f64) -> f64 {
        match self {
            Unit::Millis => value / 1e6,
            Unit::NanosATask | Unit::Mebibytes => value,
        }
    }
}

/// The first of `summaries` is prunner, the others are its peers.
pub(crate) fn line(
    name: &str,
    workers: usize,
    unit: Unit,
    summaries: &[Summary],
    goal: Option<&str>,
) -> Line {
    let (prunner, peers) = summaries.split_first().expect("prunner takes part");
    let mut line = Line::new(name, workers).number(prunner.name, unit.of(prunner.median));
    if let Unit::NanosATask = unit {
        line = line.number("million_per_s", 1e3 / prunner.median);
    }
    for peer in peers {
        line = line.number(peer.name, unit.of(peer.median)).ratio(
            &format!("{}_ratio", peer.name),
            Some(peer.median),
            Some(prunner.median),
        );
    }
    line = line.number("cpu_wall", prunner.cpu_wall).percent("spread", prunner.spread);
    line = line.field("unit", unit.name());
    match goal {
        Some(goal) => line.field("goal", goal),
        None => line,
    }
}
