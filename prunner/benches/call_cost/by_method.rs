//! The program as a message loop of methods, with the state that gives them their `&self`.

use std::hint::black_box;

use prunner::{MessageLoop, Runner, post_task};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Job {
    numbers: u64,
}

impl Job {
    fn begin(&self) {
        post_task(Job::init, self.numbers);
    }

    fn init(&self, numbers: u64) {
        for n in 0..numbers {
            post_task(Job::add_one, n);
        }
    }

    fn add_one(&self, n: u64) {
        post_task(Job::double, n + 1);
    }

    fn double(&self, n: u64) {
        post_task(Job::look, n);
        post_task(Job::look, n);
    }

    fn look(&self, n: u64) {
        black_box(n);
    }

    fn end(&self) {}
}

pub(crate) fn run(numbers: u64, workers: usize) -> u64 {
    let program = MessageLoop::new(Job::begin, Job::end).with_state(Job { numbers });
    let report = Runner::new(program).workers(workers).start().expect("no task fails");
    report.ledger().finished
}
