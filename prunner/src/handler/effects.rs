//! What a handler has done and not yet committed.

use crate::{
    dict::{LocalDict, Merges},
    failure::{Cause, drop_quietly},
    queue::Posts,
};

/// The follow-ups and merges of the running handler.
pub(crate) struct Effects<T> {
    /// The worker that runs the handler.
    pub(crate) worker: usize,
    pub(crate) dict: LocalDict,
    pub(crate) posts: Posts<T>,
    pub(crate) merges: Merges,
    /// Whether posts are published as they come: in `begin`, not in handlers.
    pub(crate) eager: bool,
    /// Whether something has been published before its handler ended.
    pub(crate) published: bool,
    /// Whether the tasks of the run travel to other processes.
    pub(crate) travels: bool,
}

impl<T> Effects<T> {
    pub(crate) fn new(worker: usize, dict: LocalDict, posts: Posts<T>, merges: Merges) -> Self {
        Self { worker, dict, posts, merges, eager: false, published: false, travels: false }
    }

    /// Makes true what was merged so far; an error if a merge panics.
    pub(crate) fn commit_pending(&mut self) -> Result<(), Cause> {
        Cause::of(|| {
            self.merges.commit_pending();
            Ok(())
        })
    }

    /// Forgets what a failed attempt has done.
    pub(crate) fn discard(&mut self) {
        // One by one: a second panic while the first unwinds would abort.
        while let Some(task) = self.posts.pop_any() {
            drop_quietly(task);
        }
        self.merges.discard().into_iter().for_each(drop_quietly);
    }
}

/// What the engine does for a handler while it runs.
pub(crate) trait Publish<T> {
    /// Publishes what the handler has posted so far; its merges so far are committed.
    fn publish(&mut self, posts: &mut Posts<T>);

    /// Makes room for as many posts as there is memory for already, and for one at least.
    fn make_room(&mut self, posts: &mut Posts<T>);
}
