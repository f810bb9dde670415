//! What the calling process needs while its workers do the work. Alone in its program: nothing else may
//! have used memory there.

use std::fs;

use prunner::{Context, Key, Labeled, ParallelTaskRunner, Runner, Sum, TaskResult};
use prunner_tests::scale::times;
use serde::{Deserialize, Serialize};

prunner::worker_test!(SumUp);

const SUM: Key<Sum<u64>> = Key::new("sum");

/// Adds 2 (n + 1) for all n below so many, in four times as many tasks.
#[derive(Serialize, Deserialize)]
struct SumUp {
    numbers: u64,
}

#[derive(Labeled, Serialize, Deserialize)]
enum Step {
    Init(u64),
    AddOne(u64),
    Double(u64),
    SumUp(u64),
}

impl ParallelTaskRunner for SumUp {
    type Task = Step;

    fn begin(&self, cx: &mut Context<'_, Step>) -> TaskResult {
        cx.post(Step::Init(self.numbers));
        Ok(())
    }

    fn run(&self, step: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
        match *step {
            Step::Init(numbers) => cx.post_all((0..numbers).map(Step::AddOne)),
            Step::AddOne(n) => cx.post(Step::Double(n + 1)),
            Step::Double(n) => {
                cx.post(Step::SumUp(n));
                cx.post(Step::SumUp(n));
            }
            Step::SumUp(n) => cx.merge(SUM, Sum(n)),
        }
        Ok(())
    }
}

/// The most memory that this process has ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("there is a /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it tells");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

#[test]
fn the_parent_of_many_tasks_stays_small() {
    let numbers = times("PRUNNER_NUMBERS", 100_000);
    for workers in [2, 10] {
        let run = Runner::new(SumUp { numbers }).workers(workers).processes();
        let report = run.start().expect("nothing fails");
        assert_eq!(report.dict().get(SUM).map(|sum| sum.0), Some(numbers * (numbers + 1)));
        assert_eq!(report.ledger().finished, 4 * numbers + 1);
        println!("{workers} workers, {numbers} numbers: {} KiB so far", peak());
    }
    assert!(peak() < 128 << 10, "{} KiB", peak());
}
