//! What a handler has done and not yet committed.

use crate::{
    dict::{LocalDict, Merges},
    engine::queue::Posts,
    failure::drop_quietly,
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
    /// Whether something of an eager producer has been published already.
    pub(crate) published: bool,
}

impl<T> Effects<T> {
    pub(crate) fn new(worker: usize, dict: LocalDict, posts: Posts<T>, merges: Merges) -> Self {
        Self { worker, dict, posts, merges, eager: false, published: false }
    }

    /// Forgets what a failed attempt has done.
    pub(crate) fn discard(&mut self) {
        drop_quietly(self.posts.take_all());
        drop_quietly(self.merges.discard());
    }
}

/// What the engine does for a handler while it runs.
pub(crate) trait Publish<T> {
    /// Publishes what the handler has done so far.
    fn publish(&mut self, effects: &mut Effects<T>);

    /// Makes room for at least one more post.
    fn make_room(&mut self, posts: &mut Posts<T>);
}
