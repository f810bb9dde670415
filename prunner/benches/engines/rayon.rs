//! `rayon::scope` with a spawn for every post, in a pool that is built before the clock starts.

use rayon::{Scope, ThreadPool, ThreadPoolBuilder};

use super::job::Job;
use super::{Engine, Run, seat};
use crate::workloads::{Answer, Workload};

pub(crate) struct Rayon {
    pool: ThreadPool,
    workers: usize,
}

impl Rayon {
    pub(crate) fn new(workers: usize, pinned: bool) -> Rayon {
        let builder = ThreadPoolBuilder::new()
            .num_threads(workers)
            .start_handler(move |i| seat::take(i, pinned));
        Rayon { pool: builder.build().expect("rayon can start its threads"), workers }
    }

    fn run<W: Workload>(&self, job: &'static Job<W>) -> Answer {
        self.pool.scope(|scope| {
            if let Some(root) = job.root() {
                spawn(job, root, scope);
            }
        });
        job.answer()
    }
}

impl Engine for Rayon {
    fn prepare<W: Workload>(&'static self, work: &'static W) -> Run {
        let job = Job::new(work, self.workers);
        Box::new(|| self.run(job))
    }
}

#[inline]
fn spawn<'scope, W: Workload>(job: &'static Job<W>, task: W::Task, scope: &Scope<'scope>) {
    scope.spawn(move |scope| job.run(&task, |next| spawn(job, next, scope)));
}
