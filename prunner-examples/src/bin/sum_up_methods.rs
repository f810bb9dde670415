//! A message loop of methods: what is posted is a method and its arguments, not the object.
//!
//! The same steps as in `sum_up`. The loop's state, a `Job`, is there once; `begin`, `end` and every
//! posted method get it as `&self`. (The original sent the whole object along with each task.)
//!
//! ```text
//! cargo run --release --bin sum_up_methods
//! cargo run --release --bin sum_up_methods -- --numbers 100000 -n 2 -v
//! ```

use std::{ops::Range, process::ExitCode};

use clap::Parser;
use prunner::{Key, MessageLoop, Sum, TaskResult, dict, merge, post_task, task};
use prunner_examples::{RunFlags, print};
use serde::{Deserialize, Serialize};

const SUM: Key<Sum<u64>> = Key::new("sum");

#[derive(Serialize, Deserialize)]
struct Job {
    numbers: u64,
    /// How often each number is summed up.
    times: u64,
}

#[task]
impl Job {
    fn begin(&self) {
        post_task(Job::init, 0..self.numbers);
    }

    #[task]
    fn init(&self, numbers: Range<u64>) {
        for n in numbers {
            post_task(Job::add_one, n);
        }
    }

    #[task]
    fn add_one(&self, n: u64) {
        post_task(Job::double, n + 1);
    }

    #[task]
    fn double(&self, n: u64) {
        for _ in 0..self.times {
            post_task(Job::sum_up, n);
        }
    }

    #[task]
    fn sum_up(&self, n: u64) {
        merge(SUM, Sum(n));
    }

    fn end(&self) -> TaskResult {
        let Sum(sum) = dict().get(SUM).unwrap_or_default();
        print(|out| writeln!(out, "{sum}"))?;
        Ok(())
    }
}

/// Sums up 2 (n + 1) for all n below N in many small tasks, by methods of one object.
#[derive(Parser)]
struct Flags {
    /// How many numbers to sum up
    #[arg(long, value_name = "N", default_value_t = 2000)]
    numbers: u64,

    #[command(flatten)]
    run: RunFlags,
}

fn main() -> ExitCode {
    prunner::worker_entry::<MessageLoop<Job>>();
    let Flags { numbers, run } = Flags::parse();
    run.start(MessageLoop::new(Job::begin, Job::end).with_state(Job { numbers, times: 2 }))
}
