//! tokio's multi-thread runtime, built before the clock starts: `spawn` for every post, a counter
//! for the end. (A `JoinSet` belongs to one owner; tasks that post tasks cannot share it.)

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};

use super::job::Job;
use super::{Engine, Run, seat};
use crate::workloads::{Answer, Workload};

pub(crate) struct Tokio {
    runtime: Runtime,
    workers: usize,
}

impl Tokio {
    pub(crate) fn new(workers: usize, pinned: bool) -> Tokio {
        let next = AtomicUsize::new(0);
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .on_thread_start(move || seat::take(next.fetch_add(1, Ordering::Relaxed), pinned))
            .build()
            .expect("tokio can start its threads");
        Tokio { runtime, workers }
    }

    fn run<W: Workload>(&'static self, job: &'static Job<W>) -> Answer {
        match job.root() {
            Some(root) => {
                spawn(self.runtime.handle(), job, root);
                job.pending.wait();
            }
            None => self.runtime.block_on(async {}),
        }
        job.answer()
    }
}

impl Engine for Tokio {
    fn prepare<W: Workload>(&'static self, work: &'static W) -> Run {
        let job = Job::new(work, self.workers);
        Box::new(|| self.run(job))
    }
}

#[inline]
fn spawn<W: Workload>(handle: &'static Handle, job: &'static Job<W>, task: W::Task) {
    job.pending.post();
    handle.spawn(async move {
        job.run(&task, |next| spawn(handle, job, next));
        job.pending.finish_and_tell();
    });
}
