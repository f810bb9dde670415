//! By hand: a `VecDeque` and a count of pending tasks under one mutex, and a condition variable.
//! Threads start with the run.

use std::collections::VecDeque;
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::job::Job;
use super::{Engine, Run, seat};
use crate::workloads::{Answer, Workload};

pub(crate) struct CondvarQueue {
    pub(crate) workers: usize,
    pub(crate) pinned: bool,
}

struct State<T> {
    tasks: VecDeque<T>,
    /// Queued or running.
    pending: usize,
}

struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Queue<T> {
    fn new(root: Option<T>) -> Queue<T> {
        let tasks = VecDeque::from_iter(root);
        let pending = tasks.len();
        Queue { state: Mutex::new(State { tasks, pending }), changed: Condvar::new() }
    }

    fn post(&self, task: T) {
        let mut state = self.state.lock();
        state.tasks.push_back(task);
        state.pending += 1;
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for a task; `None` once nothing is pending.
    fn take(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                return Some(task);
            }
            if state.pending == 0 {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    fn finish(&self) {
        let mut state = self.state.lock();
        state.pending -= 1;
        if state.pending == 0 {
            self.changed.notify_all();
        }
    }
}

impl CondvarQueue {
    fn run<W: Workload>(&self, job: &Job<W>) -> Answer {
        let queue = &Queue::new(job.root());
        thread::scope(|scope| {
            for index in 0..self.workers {
                scope.spawn(move || {
                    seat::take(index, self.pinned);
                    work(job, queue);
                });
            }
        });
        job.answer()
    }
}

fn work<W: Workload>(job: &Job<W>, queue: &Queue<W::Task>) {
    while let Some(task) = queue.take() {
        job.run(&task, |next| queue.post(next));
        queue.finish();
    }
}

impl Engine for CondvarQueue {
    fn prepare<W: Workload>(&'static self, work: &'static W) -> Run {
        let job = Job::new(work, self.workers);
        Box::new(|| self.run(job))
    }
}
