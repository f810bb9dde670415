//! Where follow-ups wait when they will be moved elsewhere in any case.

use super::{Posts, ring::Ring};
use crate::task::Priority;

/// Room for the follow-ups of the running handler.
pub(crate) struct Buffer<T>(Ring<T>);

impl<T> Buffer<T> {
    pub(crate) fn new() -> Self {
        Self(Ring::new())
    }

    /// Opens it, once: posts to be used with this buffer alone.
    pub(crate) fn open(&mut self) -> Posts<T> {
        Posts::new()
    }

    /// Makes room for at least one more post.
    pub(crate) fn make_room(&mut self, posts: &mut Posts<T>) {
        let live = posts.live();
        let head = live.start;
        // SAFETY: only posts are there (invariant 3), and they are attached at once.
        unsafe { self.0.grow(live.len() + 1, live) };
        // SAFETY: as above.
        unsafe { posts.attach(&mut self.0, head) };
    }

    /// Moves all posts out, those of each priority in the order in which they were posted. If `to`
    /// panics, posts that it has not been given may stay.
    pub(crate) fn drain(&mut self, posts: &mut Posts<T>, mut to: impl FnMut(Priority, T)) {
        if posts.has_prioritised() {
            posts.drain_prioritised().for_each(|(priority, task)| to(priority, task));
        }
        while let Some(task) = posts.pop_oldest() {
            to(Priority::Normal, task);
        }
        // SAFETY: there is nothing left, so the whole ring is room.
        unsafe { posts.attach(&mut self.0, posts.end()) };
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn posted(buffer: &mut Buffer<Box<u64>>, tasks: std::ops::Range<u64>) -> Posts<Box<u64>> {
        let mut posts = buffer.open();
        for task in tasks {
            let refused = posts.push(Box::new(task));
            if let Err(task) = refused {
                buffer.make_room(&mut posts);
                assert!(posts.push(task).is_ok(), "room was made");
            }
        }
        posts
    }

    #[test]
    fn a_drain_that_panics_leaves_the_rest_where_it_was() {
        let mut buffer = Buffer::new();
        let mut posts = posted(&mut buffer, 0..200);
        let drained = catch_unwind(AssertUnwindSafe(|| {
            buffer.drain(&mut posts, |_, task| assert!(*task < 70, "enough"));
        }));
        assert!(drained.is_err());
        assert_eq!(posts.len(), 129, "the seventieth was given away");
        buffer.make_room(&mut posts);
        assert!(posts.push(Box::new(200)).is_ok());
        let mut rest = Vec::new();
        buffer.drain(&mut posts, |_, task| rest.push(*task));
        assert!(rest.into_iter().eq(71..=200));
    }
}
