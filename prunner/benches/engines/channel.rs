//! By hand: an unbounded `crossbeam-channel`, a counter, and a stop message to each worker. Threads
//! start with the run.

use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::job::Job;
use super::{Engine, Run, seat};
use crate::workloads::{Answer, Workload};

pub(crate) struct Channel {
    pub(crate) workers: usize,
    pub(crate) pinned: bool,
}

enum Message<T> {
    Work(T),
    Stop,
}

impl Channel {
    fn run<W: Workload>(&self, job: &Job<W>) -> Answer {
        let (sender, receiver) = unbounded();
        match job.root() {
            Some(root) => post(job, root, &sender),
            None => self.stop_all(&sender),
        }
        thread::scope(|scope| {
            for index in 0..self.workers {
                let (sender, receiver) = (&sender, &receiver);
                scope.spawn(move || {
                    seat::take(index, self.pinned);
                    self.work(job, sender, receiver);
                });
            }
        });
        job.answer()
    }

    fn work<W: Workload>(
        &self,
        job: &Job<W>,
        sender: &Sender<Message<W::Task>>,
        receiver: &Receiver<Message<W::Task>>,
    ) {
        while let Ok(Message::Work(task)) = receiver.recv() {
            job.run(&task, |next| post(job, next, sender));
            if job.pending.finish() {
                self.stop_all(sender);
            }
        }
    }

    fn stop_all<T>(&self, sender: &Sender<Message<T>>) {
        for _ in 0..self.workers {
            sender.send(Message::Stop).expect("the run holds a receiver");
        }
    }
}

#[inline]
fn post<W: Workload>(job: &Job<W>, task: W::Task, sender: &Sender<Message<W::Task>>) {
    job.pending.post();
    sender.send(Message::Work(task)).expect("the run holds a receiver");
}

impl Engine for Channel {
    fn prepare<W: Workload>(&'static self, work: &'static W) -> Run {
        let job = Job::new(work, self.workers);
        Box::new(|| self.run(job))
    }
}
