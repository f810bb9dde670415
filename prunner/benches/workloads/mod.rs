//! The workloads, written once against [`Scope`], so that every engine runs the same arithmetic.

pub(crate) mod chain;
pub(crate) mod few;
pub(crate) mod flat;
pub(crate) mod idle;
pub(crate) mod spin;
pub(crate) mod sum_up;
pub(crate) mod tree;
pub(crate) mod uts;
pub(crate) mod wake;

use prunner::Labeled;

/// What a task can do while it runs: the part of an engine that a workload sees.
pub(crate) trait Scope<T> {
    fn post(&mut self, task: T);

    fn post_all(&mut self, tasks: impl Iterator<Item = T>) {
        for task in tasks {
            self.post(task);
        }
    }

    /// Publishes what was posted so far. Only prunner holds posts back until the task has returned.
    fn flush(&mut self) {}

    /// Adds to a sum that each worker keeps for itself and that is joined at the end.
    fn add(&mut self, n: u64);

    /// Adds to one sum under one lock.
    fn add_locked(&mut self, n: u64);

    /// Adds to the entry `"sum"` of one map under one lock.
    fn add_mapped(&mut self, n: u64);
}

/// A program to run. It lives as long as the process: tokio and async-executor ask for that, and it
/// spares every peer a reference count per task.
pub(crate) trait Workload: Send + Sync + 'static {
    type Task: Labeled + Send + 'static;

    /// The first task, if there is one.
    fn root(&self) -> Option<Self::Task>;

    fn run(&self, task: &Self::Task, scope: &mut impl Scope<Self::Task>);

    /// The answer that every run must give.
    fn expected(&self) -> Answer;
}

/// What a run comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Tasks that ran.
    pub(crate) tasks: u64,
    /// The total of all three kinds of sums.
    pub(crate) sum: u64,
}
