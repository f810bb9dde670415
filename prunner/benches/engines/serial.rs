//! The floor: one thread, one `Vec`, no engine. Newest first, like prunner.

use std::collections::HashMap;

use super::{Engine, Run};
use crate::workloads::{Answer, Scope, Workload};

pub(crate) struct Serial;

impl Engine for Serial {
    fn prepare<W: Workload>(&'static self, work: &'static W) -> Run {
        Box::new(|| run(work))
    }
}

fn run<W: Workload>(work: &W) -> Answer {
    let mut floor = Floor::new(work.root());
    let mut tasks = 0;
    while let Some(task) = floor.stack.pop() {
        work.run(&task, &mut floor);
        tasks += 1;
    }
    Answer { tasks, sum: floor.sum + floor.mapped.get("sum").unwrap_or(&0) }
}

struct Floor<T> {
    stack: Vec<T>,
    sum: u64,
    mapped: HashMap<String, u64>,
}

impl<T> Floor<T> {
    fn new(root: Option<T>) -> Floor<T> {
        Floor { stack: Vec::from_iter(root), sum: 0, mapped: HashMap::new() }
    }
}

impl<T> Scope<T> for Floor<T> {
    #[inline]
    fn post(&mut self, task: T) {
        self.stack.push(task);
    }

    #[inline]
    fn post_all(&mut self, tasks: impl Iterator<Item = T>) {
        self.stack.extend(tasks);
    }

    #[inline]
    fn add(&mut self, n: u64) {
        self.sum += n;
    }

    #[inline]
    fn add_locked(&mut self, n: u64) {
        self.sum += n;
    }

    #[inline]
    fn add_mapped(&mut self, n: u64) {
        match self.mapped.get_mut("sum") {
            Some(sum) => *sum += n,
            None => _ = self.mapped.insert("sum".to_owned(), n),
        }
    }
}
