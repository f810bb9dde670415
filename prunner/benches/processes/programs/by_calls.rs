//! `sum_up_calls`: the same with plain functions that are posted.

use prunner::{MessageLoop, Sum, merge, post_task, task};

use super::{SUM, sum_up};

#[task]
fn init(numbers: u64) {
    for n in 0..numbers {
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
    merge(SUM, Sum(n));
}

/// Returns the sum.
pub(crate) fn run(numbers: u64, workers: usize) -> u64 {
    let program = MessageLoop::new(move || post_task(init, numbers), || ());
    super::sum(&super::start(program, workers, sum_up::tasks(numbers)))
}
