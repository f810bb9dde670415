//! `gcd`: the greatest common divisors of four pairs, each by trial from the smaller number down.

use prunner::{Context, Labeled, ParallelTaskRunner, Sum, TaskResult};
use serde::{Deserialize, Serialize};

use super::SUM;

const PAIRS: [(u64, u64); 4] =
    [(1963309, 2265973), (2030677, 3814172), (1551645, 2229620), (2039045, 2020802)];

#[derive(Labeled, Serialize, Deserialize)]
pub(crate) struct Pair(u64, u64);

#[derive(Serialize, Deserialize)]
pub(crate) struct Gcd;

impl ParallelTaskRunner for Gcd {
    type Task = Pair;

    fn begin(&self, cx: &mut Context<'_, Pair>) -> TaskResult {
        cx.post_all(PAIRS.map(|(a, b)| Pair(a, b)));
        Ok(())
    }

    fn run(&self, task: &Pair, cx: &mut Context<'_, Pair>) -> TaskResult {
        cx.merge(SUM, Sum(gcd(task.0, task.1)));
        Ok(())
    }
}

/// By trial, which is slow: that is the point.
fn gcd(a: u64, b: u64) -> u64 {
    let divides = |d: &u64| a.is_multiple_of(*d) && b.is_multiple_of(*d);
    (1..=a.min(b)).rev().find(divides).unwrap_or(a.max(b))
}

/// Returns the sum of the four divisors.
pub(crate) fn run(workers: usize) -> u64 {
    super::sum(&super::start(Gcd, workers, PAIRS.len() as u64))
}

/// The same on one thread, without any tasks.
pub(crate) fn serial() -> u64 {
    PAIRS.iter().map(|&(a, b)| gcd(a, b)).sum()
}
