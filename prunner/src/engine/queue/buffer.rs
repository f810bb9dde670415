//! Where follow-ups wait when they will be moved elsewhere in any case.

use std::mem;

use super::{Posts, ring::Ring};
use crate::task::Priority;

/// The follow-ups of the running handler, from number 0 on.
pub(crate) struct Buffer<T>(Ring<T>);

impl<T> Buffer<T> {
    pub(crate) fn new() -> Self {
        Self(Ring::new())
    }

    /// Opens it, once; as everywhere, the posts are left with room for one at least.
    pub(crate) fn open(&mut self) -> Posts<T> {
        self.0.grow(1, 0..0);
        Posts::new(self.0.open(0..0))
    }

    /// Makes room for at least one more post.
    pub(crate) fn make_room(&mut self, posts: &mut Posts<T>) {
        let end = posts.window.end;
        self.0.grow(end + 1, 0..end);
        posts.window = self.0.open(0..0);
        posts.window.end = end;
    }

    /// Moves all posts out, those of each priority in the order in which they were posted.
    pub(crate) fn drain(&mut self, posts: &mut Posts<T>, mut to: impl FnMut(Priority, T)) {
        for (priority, task) in posts.prioritised.drain(..) {
            to(priority, task);
        }
        for number in 0..mem::take(&mut posts.window.end) {
            // SAFETY: the posts start at 0, were written up to the end, and each is read once.
            to(Priority::Normal, unsafe { self.0.read(number) });
        }
    }
}
