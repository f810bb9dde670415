//! The program as a message loop of closures, each of which captures a number.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use prunner::{MessageLoop, Runner, post_task};

/// What `begin` starts with; a function captures nothing.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

fn begin() {
    post_task(init, NUMBERS.load(Ordering::Relaxed));
}

fn init(numbers: u64) {
    let one = black_box(1);
    for n in 0..numbers {
        post_task(move |n: u64| add(n, one), n);
    }
}

fn add(n: u64, more: u64) {
    post_task(move |n: u64| double(n, more), n + more);
}

fn double(n: u64, times: u64) {
    post_task(move |n: u64| look(n, times), n);
    post_task(move |n: u64| look(n, times), n);
}

fn look(n: u64, times: u64) {
    black_box((n, times));
}

fn end() {}

pub(crate) fn run(numbers: u64, workers: usize) -> u64 {
    NUMBERS.store(numbers, Ordering::Relaxed);
    let report =
        Runner::new(MessageLoop::new(begin, end)).workers(workers).start().expect("no task fails");
    report.ledger().finished
}
