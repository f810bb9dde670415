//! The program as a message loop of functions.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use prunner::{MessageLoop, Runner, post_task};

/// What `begin` starts with; a function captures nothing.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

fn begin() {
    post_task(init, NUMBERS.load(Ordering::Relaxed));
}

fn init(numbers: u64) {
    for n in 0..numbers {
        post_task(add_one, n);
    }
}

fn add_one(n: u64) {
    post_task(double, n + 1);
}

fn double(n: u64) {
    post_task(look, n);
    post_task(look, n);
}

fn look(n: u64) {
    black_box(n);
}

fn end() {}

pub(crate) fn run(numbers: u64, workers: usize) -> u64 {
    NUMBERS.store(numbers, Ordering::Relaxed);
    let report =
        Runner::new(MessageLoop::new(begin, end)).workers(workers).start().expect("no task fails");
    report.ledger().finished
}
