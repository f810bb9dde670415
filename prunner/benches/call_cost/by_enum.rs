//! The program as a `ParallelTaskRunner` with an enum of tasks.

use std::hint::black_box;

use prunner::{Context, Labeled, ParallelTaskRunner, Runner, TaskResult};

#[derive(Labeled)]
enum Step {
    Init(u64),
    AddOne(u64),
    Double(u64),
    Look(u64),
}

struct Steps {
    numbers: u64,
}

impl ParallelTaskRunner for Steps {
    type Task = Step;

    fn begin(&self, cx: &mut Context<'_, Step>) -> TaskResult {
        cx.post(Step::Init(self.numbers));
        Ok(())
    }

    fn run(&self, task: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
        match *task {
            Step::Init(numbers) => (0..numbers).for_each(|n| cx.post(Step::AddOne(n))),
            Step::AddOne(n) => cx.post(Step::Double(n + 1)),
            Step::Double(n) => {
                cx.post(Step::Look(n));
                cx.post(Step::Look(n));
            }
            Step::Look(n) => {
                black_box(n);
            }
        }
        Ok(())
    }
}

pub(crate) fn run(numbers: u64, workers: usize) -> u64 {
    let report = Runner::new(Steps { numbers }).workers(workers).start().expect("no task fails");
    report.ledger().finished
}
