//! What a shared pending counter would add to the path of a task, put around a workload from
//! outside.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use crate::workloads::{Answer, Scope, Workload};

/// How the counter is kept.
#[derive(Clone, Copy)]
pub(crate) enum Counter {
    /// One up for every post, one down for every finished task: what engines with a counter do.
    PerPost,
    /// The difference once a task, and nothing where it is zero: the cheapest that a counter can
    /// be.
    PerTask,
}

/// The workload `inner`, with a counter that is zero exactly when nothing is pending.
pub(crate) struct Counted<W> {
    inner: W,
    counter: Counter,
    pending: CachePadded<AtomicUsize>,
}

impl<W> Counted<W> {
    pub(crate) fn new(inner: W, counter: Counter) -> Self {
        Counted { inner, counter, pending: CachePadded::new(AtomicUsize::new(0)) }
    }

    /// What is pending: nothing, after a run.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    // AcqRel, as in every such engine: whoever brings the counter to zero must see all that the
    // tasks wrote. This is before the posts of the task can start, because prunner commits them
    // when the handler has returned.
    fn settle(&self, posts: usize) {
        match self.counter {
            Counter::PerTask if posts == 1 => {}
            Counter::PerTask if posts > 1 => {
                _ = self.pending.fetch_add(posts - 1, Ordering::AcqRel)
            }
            _ => _ = self.pending.fetch_sub(1, Ordering::AcqRel),
        }
    }
}

impl<W: Workload> Workload for Counted<W> {
    type Task = W::Task;

    fn root(&self) -> Option<W::Task> {
        let root = self.inner.root();
        self.pending.fetch_add(usize::from(root.is_some()), Ordering::Relaxed);
        root
    }

    #[inline]
    fn run(&self, task: &W::Task, scope: &mut impl Scope<W::Task>) {
        let mut counting =
            Counting { inner: scope, counter: self.counter, pending: &self.pending, posts: 0 };
        self.inner.run(task, &mut counting);
        let posts = counting.posts;
        self.settle(posts);
    }

    fn expected(&self) -> Answer {
        self.inner.expected()
    }
}

struct Counting<'a, S> {
    inner: &'a mut S,
    counter: Counter,
    pending: &'a AtomicUsize,
    posts: usize,
}

impl<S> Counting<'_, S> {
    #[inline]
    fn count_post(&mut self) {
        match self.counter {
            Counter::PerPost => _ = self.pending.fetch_add(1, Ordering::Relaxed),
            Counter::PerTask => self.posts += 1,
        }
    }
}

impl<T, S: Scope<T>> Scope<T> for Counting<'_, S> {
    #[inline]
    fn post(&mut self, task: T) {
        self.count_post();
        self.inner.post(task);
    }

    #[inline]
    fn post_all(&mut self, tasks: impl Iterator<Item = T>) {
        let Counting { inner, counter, pending, posts } = self;
        let mut counting = Counting { inner: &mut (), counter: *counter, pending, posts: 0 };
        inner.post_all(tasks.inspect(|_| counting.count_post()));
        *posts += counting.posts;
    }

    fn flush(&mut self) {
        self.inner.flush();
    }

    #[inline]
    fn add(&mut self, n: u64) {
        self.inner.add(n);
    }

    #[inline]
    fn add_locked(&mut self, n: u64) {
        self.inner.add_locked(n);
    }

    #[inline]
    fn add_mapped(&mut self, n: u64) {
        self.inner.add_mapped(n);
    }
}
