//! Computations that take their time, in parallel: the example of Python's `concurrent.futures`.
//!
//! The greatest common divisor of each pair, found by trial from the smaller number down, is one
//! task. Results come in any order, so each says which pair it belongs to, and `end` prints them in
//! the order in which the pairs were given.
//!
//! ```text
//! cargo run --release --bin gcd
//! cargo run --release --bin gcd -- -n 2 -v
//! ```

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use prunner::{Append, Key, MessageLoop, TaskResult, dict, merge, post_task, task};
use prunner_examples::{RunFlags, print};

const PAIRS: [(u64, u64); 4] =
    [(1963309, 2265973), (2030677, 3814172), (1551645, 2229620), (2039045, 2020802)];

/// Pairs, by their place in [`PAIRS`], with their greatest common divisors.
const DIVISORS: Key<Append<(usize, u64)>> = Key::new("divisors");

fn begin() {
    for place in 0..PAIRS.len() {
        post_task(find_divisor, place);
    }
}

#[task]
fn find_divisor(place: usize) {
    let (a, b) = PAIRS[place];
    let start = Instant::now();
    let divisor = gcd(a, b);
    log::info!("gcd({a}, {b}) took {:.1?}", start.elapsed());
    merge(DIVISORS, Append::one((place, divisor)));
}

/// By trial, which is slow: that is the point.
fn gcd(a: u64, b: u64) -> u64 {
    let divides = |d: &u64| a.is_multiple_of(*d) && b.is_multiple_of(*d);
    (1..=a.min(b)).rev().find(divides).unwrap_or(a.max(b))
}

fn end() -> TaskResult {
    let mut divisors = dict().get(DIVISORS).unwrap_or_default().0;
    divisors.sort_unstable();
    print(|out| {
        for (place, divisor) in divisors {
            let (a, b) = PAIRS[place];
            writeln!(out, "gcd({a}, {b}) = {divisor}")?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Finds the greatest common divisors of four pairs of numbers, each by trial in a task of its own.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    run: RunFlags,
}

fn main() -> ExitCode {
    prunner::worker_entry::<MessageLoop>();
    Flags::parse().run.start(MessageLoop::new(begin, end))
}
