//! What a lease has come to when it is cut, and the commit that becomes of it.

use super::{
    batching::{Batching, MOST_BATCH_BYTES, MOST_TASKS},
    lanes::Lane,
    roots::Roots,
};
use crate::{
    broker::{Batch, Commit, DeadLetter, LabelCount, Lease, Malformed, Tasks, Token, Write},
    codec::{self, Bytes},
    failure::{Cause, Failure},
    task::Priority,
};

/// What was in hand when a lease was cut: everything but what it has made of the dict.
pub(super) struct Draft {
    pub(super) token: Token,
    pub(super) successor: Option<Lease>,
    /// What the lease's tasks are like, but for their bytes.
    pub(super) like: Batch,
    /// Tasks of the lease that were not started.
    pub(super) roots: Roots,
    /// Follow-ups that were not started, by priority.
    pub(super) local: [Lane; 3],
    pub(super) posted: u64,
    pub(super) labels: Vec<LabelCount>,
    pub(super) dead: Vec<DeadLetter>,
}

impl Draft {
    pub(super) fn into_commit(mut self, batching: Batching, writes: Vec<Write>) -> Commit {
        let posts = self.pack(batching);
        Commit {
            token: self.token,
            successor: self.successor,
            posts,
            writes,
            posted: self.posted,
            labels: self.labels,
            dead: self.dead,
        }
    }

    /// Everything that was not started, cut into pieces.
    fn pack(&mut self, batching: Batching) -> Vec<Batch> {
        let mut batches = Vec::new();
        // What has happened to them so far goes along: a suspect stays one.
        let like = Batch { tasks: Tasks::new(), ..self.like };
        let mut batcher = Batcher::new(&mut batches, batching, like, self.roots.left());
        let handed_on = self.roots.hand_on(|task| batcher.add(task));
        batcher.finish();
        if let Err(error) = handed_on {
            let (count, letter) = unreadable(&error);
            self.labels.push(count);
            self.dead.push(letter);
        }
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            let lane = &self.local[priority as usize];
            let like = Batch { priority, ..Batch::default() };
            let mut batcher = Batcher::new(&mut batches, batching, like, lane.len());
            lane.iter().for_each(|task| batcher.add(task));
            batcher.finish();
        }
        batches
    }
}

/// What is known of tasks whose bytes cannot be cut apart.
fn unreadable(error: &Malformed) -> (LabelCount, DeadLetter) {
    let failure = Failure::new(UNREADABLE, None, Cause::text(error.to_string()), 0);
    let count = LabelCount { label: UNREADABLE.into(), dead: 1, ..LabelCount::default() };
    (count, letter(Vec::new(), &failure))
}

/// What a task is called whose label cannot be known.
pub(super) const UNREADABLE: &str = "a task that cannot be read";

/// What is left of a task that has died.
pub(super) fn letter(task: Vec<u8>, failure: &Failure) -> DeadLetter {
    // A failure is made of texts and numbers, which can always be written.
    let report = codec::to_bytes(failure).unwrap_or_default();
    DeadLetter { task: Bytes(task), report: Bytes(report), interruptions: 0 }
}

/// Puts tasks into batches of a good size.
struct Batcher<'a> {
    batches: &'a mut Vec<Batch>,
    /// What they are like, but for their tasks.
    like: Batch,
    most: usize,
    tasks: Tasks,
}

impl<'a> Batcher<'a> {
    fn new(batches: &'a mut Vec<Batch>, batching: Batching, like: Batch, tasks: usize) -> Self {
        let most = tasks.div_ceil(batching.pieces()).clamp(1, MOST_TASKS);
        Self { batches, like, most, tasks: Tasks::new() }
    }

    fn add(&mut self, task: &[u8]) {
        self.tasks.push(task);
        if self.tasks.len() >= self.most || self.tasks.size() >= MOST_BATCH_BYTES {
            self.seal();
        }
    }

    fn seal(&mut self) {
        if !self.tasks.is_empty() {
            let tasks = std::mem::take(&mut self.tasks);
            self.batches.push(Batch { tasks, ..self.like });
        }
    }

    fn finish(mut self) {
        self.seal();
    }
}
