//! Rounds: every variant once, in turn (A B C A B C ...), so that what disturbs the machine
//! disturbs them all alike.

use std::time::Instant;

use super::clock::process_cpu;

/// What one run of one variant gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// The measured value, in the unit of the workload (mostly ns a task).
    pub(crate) value: f64,
    /// The 99th percentile, where a run measures many values.
    pub(crate) tail: Option<f64>,
    /// CPU time of the process over wall time: how many cores were really busy.
    pub(crate) cpu_wall: f64,
}

impl Sample {
    /// Times `run`, which does `units` units of work, in ns a unit.
    pub(crate) fn time(units: u64, run: impl FnOnce()) -> Sample {
        let (start, cpu) = (Instant::now(), process_cpu());
        run();
        let wall = start.elapsed().as_secs_f64();
        let cpu = (process_cpu() - cpu).as_secs_f64();
        Sample { value: wall * 1e9 / units as f64, tail: None, cpu_wall: cpu / wall }
    }
}

/// One of the things compared.
pub(crate) struct Variant<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> Sample + 'a>,
    samples: Vec<Sample>,
}

impl<'a> Variant<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut() -> Sample + 'a) -> Variant<'a> {
        Variant { name, run: Box::new(run), samples: Vec::new() }
    }
}

/// Runs all variants in turn, `rounds` times, after one round that warms up and does not count.
pub(crate) fn interleave(mut variants: Vec<Variant<'_>>, rounds: usize) -> Vec<Summary> {
    for round in 0..=rounds {
        for variant in &mut variants {
            let sample = (variant.run)();
            if round > 0 {
                variant.samples.push(sample);
            }
        }
    }
    variants.iter().map(|variant| Summary::of(variant.name, &variant.samples)).collect()
}

/// What the rounds of one variant come to.
pub(crate) struct Summary {
    pub(crate) name: &'static str,
    /// Median over the rounds.
    pub(crate) median: f64,
    /// Median over the rounds of each round's 99th percentile.
    pub(crate) tail: Option<f64>,
    /// Median over the rounds of the cores that were busy.
    pub(crate) cpu_wall: f64,
    /// (max - min) / median, in percent; nothing where the median is next to nothing.
    pub(crate) spread: Option<f64>,
}

impl Summary {
    fn of(name: &'static str, samples: &[Sample]) -> Summary {
        let values = || samples.iter().map(|sample| sample.value);
        let tails: Option<Vec<f64>> = samples.iter().map(|sample| sample.tail).collect();
        let median_value = median(values());
        let width = values().fold(f64::MIN, f64::max) - values().fold(f64::MAX, f64::min);
        Summary {
            name,
            median: median_value,
            tail: tails.map(|tails| median(tails.into_iter())),
            cpu_wall: median(samples.iter().map(|sample| sample.cpu_wall)),
            spread: (median_value > 0.1).then(|| 100.0 * width / median_value),
        }
    }
}

/// The middle value; of an even number, the mean of the middle two.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
