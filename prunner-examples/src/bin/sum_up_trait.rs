//! A program of its own type: tasks are an enum, and the sum is merged, not locked.
//!
//! The same steps as in `sum_up`: each variant of `Step` is a label and its data. A merge is kept by
//! each worker for itself and joined at the end, so workers never wait for each other, and it
//! becomes true only when its task has finished.
//!
//! ```text
//! cargo run --release --bin sum_up_trait
//! cargo run --release --bin sum_up_trait -- --numbers 10000000 -n 2 -v
//! ```

use std::process::ExitCode;

use clap::Parser;
use prunner::{Context, Dict, Key, Labeled, ParallelTaskRunner, Sum, TaskResult};
use prunner_examples::{RunFlags, print};
use serde::{Deserialize, Serialize};

const SUM: Key<Sum<u64>> = Key::new("sum");

#[derive(Labeled, Serialize, Deserialize)]
enum Step {
    Init(u64),
    AddOne(u64),
    Double(u64),
    SumUp(u64),
}

#[derive(Serialize, Deserialize)]
struct SumUp {
    numbers: u64,
}

impl ParallelTaskRunner for SumUp {
    type Task = Step;

    fn begin(&self, cx: &mut Context<'_, Step>) -> TaskResult {
        cx.post(Step::Init(self.numbers));
        Ok(())
    }

    fn run(&self, task: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
        match *task {
            Step::Init(numbers) => cx.post_all((0..numbers).map(Step::AddOne)),
            Step::AddOne(n) => cx.post(Step::Double(n + 1)),
            Step::Double(n) => cx.post_all([Step::SumUp(n), Step::SumUp(n)]),
            Step::SumUp(n) => cx.merge(SUM, Sum(n)),
        }
        Ok(())
    }

    fn end(&self, dict: &Dict) -> TaskResult {
        let Sum(sum) = dict.get(SUM).unwrap_or_default();
        print(|out| writeln!(out, "{sum}"))?;
        Ok(())
    }
}

/// Sums up 2 (n + 1) for all n below N in many small tasks, by an enum of tasks and merges.
#[derive(Parser)]
struct Flags {
    /// How many numbers to sum up
    #[arg(long, value_name = "N", default_value_t = 2000)]
    numbers: u64,

    #[command(flatten)]
    run: RunFlags,
}

fn main() -> ExitCode {
    prunner::worker_entry::<SumUp>();
    let Flags { numbers, run } = Flags::parse();
    run.start(SumUp { numbers })
}
