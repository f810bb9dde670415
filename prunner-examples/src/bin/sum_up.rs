//! A message loop of plain functions: the running example of the original, in its first form.
//!
//! `begin` posts `init`, which posts `add_one` for each number; that posts `double`, and that posts
//! `sum_up` twice. The sum is an entry of the shared dict and is changed under the global lock. The
//! run ends when nothing is left to do, and `end` prints the sum: N (N + 1).
//!
//! ```text
//! cargo run --release --bin sum_up
//! cargo run --release --bin sum_up -- --numbers 100000 -n 2 -v
//! ```
//!
//! `sum_up_trait` does the same without the lock, `sum_up_methods` with methods.

use std::{ops::Range, process::ExitCode};

use clap::Parser;
use prunner::{Key, MessageLoop, TaskResult, dict, global_lock, post_task, task};
use prunner_examples::{RunFlags, print};
use serde::{Deserialize, Serialize};

const SUM: Key<u64> = Key::new("sum");

/// What `begin` has to know; it is the loop's state.
#[derive(Serialize, Deserialize)]
struct Options {
    numbers: u64,
}

fn begin(options: &Options) {
    dict().insert(SUM, 0);
    post_task(init, 0..options.numbers);
}

#[task]
fn init(numbers: Range<u64>) {
    for n in numbers {
        post_task(add_one, n);
    }
}

#[task]
fn add_one(n: u64) {
    post_task(double, n + 1);
}

#[task]
fn double(n: u64) {
    post_task(sum_up, n);
    post_task(sum_up, n);
}

#[task]
fn sum_up(n: u64) {
    *global_lock().entry(SUM).or_default() += n;
}

fn end() -> TaskResult {
    let sum = dict().get(SUM).unwrap_or_default();
    print(|out| writeln!(out, "{sum}"))?;
    Ok(())
}

/// Sums up 2 (n + 1) for all n below N in many small tasks, by plain functions and a lock.
#[derive(Parser)]
struct Flags {
    /// How many numbers to sum up
    #[arg(long, value_name = "N", default_value_t = 2000)]
    numbers: u64,

    #[command(flatten)]
    run: RunFlags,
}

fn main() -> ExitCode {
    prunner::worker_entry::<MessageLoop<Options>>();
    let Flags { numbers, run } = Flags::parse();
    run.start(MessageLoop::new(begin, end).with_state(Options { numbers }))
}
