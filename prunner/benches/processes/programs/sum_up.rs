//! `sum_up`: the program of prunner.py. A number is posted, raised by one, posted twice and added
//! up; four tasks a number.

use prunner::{Context, Labeled, ParallelTaskRunner, Sum, TaskResult};
use serde::{Deserialize, Serialize};

use super::SUM;

#[derive(Labeled, Serialize, Deserialize)]
pub(crate) enum Step {
    Init(u64),
    AddOne(u64),
    Double(u64),
    SumUp(u64),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SumUp {
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
            Step::Init(n) => cx.post_all((0..n).map(Step::AddOne)),
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

/// Returns the sum.
pub(crate) fn run(numbers: u64, workers: usize) -> u64 {
    super::sum(&super::start(SumUp { numbers }, workers, tasks(numbers)))
}

pub(crate) fn tasks(numbers: u64) -> u64 {
    4 * numbers + 1
}

pub(crate) fn expected(numbers: u64) -> u64 {
    numbers * (numbers + 1)
}
