//! `async-executor` with threads of its own, started before the clock: `spawn` for every post, a
//! counter for the end.

use std::thread;

use async_executor::Executor;
use futures_lite::future;

use super::job::Job;
use super::{Engine, Run, forever, seat};
use crate::workloads::{Answer, Workload};

pub(crate) struct AsyncExecutor {
    executor: &'static Executor<'static>,
    workers: usize,
}

impl AsyncExecutor {
    pub(crate) fn new(workers: usize, pinned: bool) -> AsyncExecutor {
        let executor: &'static Executor<'static> = forever(Executor::new());
        for index in 0..workers {
            thread::spawn(move || {
                seat::take(index, pinned);
                future::block_on(executor.run(future::pending::<()>()));
            });
        }
        AsyncExecutor { executor, workers }
    }

    fn run<W: Workload>(&self, job: &'static Job<W>) -> Answer {
        match job.root() {
            Some(root) => {
                spawn(self.executor, job, root);
                job.pending.wait();
            }
            None => future::block_on(self.executor.run(async {})),
        }
        job.answer()
    }
}

impl Engine for AsyncExecutor {
    fn prepare<W: Workload>(&'static self, work: &'static W) -> Run {
        let job = Job::new(work, self.workers);
        Box::new(|| self.run(job))
    }
}

#[inline]
fn spawn<W: Workload>(executor: &'static Executor<'static>, job: &'static Job<W>, task: W::Task) {
    job.pending.post();
    let work = async move {
        job.run(&task, |next| spawn(executor, job, next));
        job.pending.finish_and_tell();
    };
    executor.spawn(work).detach();
}
