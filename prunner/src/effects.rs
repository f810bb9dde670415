//! What a handler has done and not yet committed.

use std::mem;

use crate::{
    dict::{Merges, SharedDict},
    failure::drop_quietly,
    task::Priority,
};

/// The follow-ups and merges of the running handler.
#[derive(Debug)]
pub(crate) struct Effects<T> {
    /// The worker that runs the handler.
    pub(crate) worker: usize,
    pub(crate) dict: SharedDict,
    pub(crate) posts: Posts<T>,
    pub(crate) merges: Merges,
    /// Whether posts are published as they come: in `begin`, not in handlers.
    pub(crate) eager: bool,
    /// Whether something of an eager producer has been published already.
    pub(crate) published: bool,
}

impl<T> Effects<T> {
    pub(crate) fn new(worker: usize, dict: SharedDict, merges: Merges) -> Self {
        Self { worker, dict, posts: Posts::new(), merges, eager: false, published: false }
    }

    /// Forgets what a failed attempt has done.
    pub(crate) fn discard(&mut self) {
        drop_quietly(mem::replace(&mut self.posts, Posts::new()));
        drop_quietly(self.merges.discard());
    }
}

/// Publishes effects in the middle of a handler.
pub(crate) trait Publish<T> {
    fn publish(&mut self, effects: &mut Effects<T>);
}

/// Follow-ups in the order in which they were posted.
#[derive(Debug)]
pub(crate) struct Posts<T> {
    pub(crate) normal: Vec<T>,
    pub(crate) prioritised: Vec<(Priority, T)>,
}

impl<T> Posts<T> {
    fn new() -> Self {
        Self { normal: Vec::new(), prioritised: Vec::new() }
    }

    #[inline(always)]
    pub(crate) fn has_prioritised(&self) -> bool {
        !self.prioritised.is_empty()
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.normal.len() + self.prioritised.len()
    }
}
