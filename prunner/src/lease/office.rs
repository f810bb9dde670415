//! Where a worker's follow-ups go: to bytes as soon as their handler has ended, then to those that wait.

use std::sync::Arc;

use serde::Serialize;

use super::{Desk, Link, lanes::Values, state::State};
use crate::{
    effects::Publish,
    engine::queue::{Buffer, Posts},
    failure::{Cause, Failure, drop_quietly},
    task::{Labeled, Priority},
};

/// The follow-ups of one worker.
pub(super) struct Office<T> {
    pub(super) desk: Arc<Desk>,
    pub(super) link: Arc<dyn Link>,
    pub(super) buffer: Buffer<T>,
    /// Those that wait.
    pub(super) values: Values<T>,
    /// Those of a handler that has just ended, or flushes.
    outgoing: Outgoing<T>,
}

struct Outgoing<T> {
    bytes: Vec<u8>,
    /// Each with the length of its bytes.
    tasks: Vec<(T, u32, Priority)>,
    /// Those that cannot be written as bytes.
    unsent: Vec<Failure>,
}

impl<T: Labeled + Serialize> Office<T> {
    pub(super) fn new(desk: Arc<Desk>, link: Arc<dyn Link>, buffer: Buffer<T>) -> Self {
        let outgoing = Outgoing { bytes: Vec::new(), tasks: Vec::new(), unsent: Vec::new() };
        Self { desk, link, buffer, values: Values::new(), outgoing }
    }

    /// Writes the posts as bytes.
    pub(super) fn write(&mut self, posts: &mut Posts<T>) {
        let Self { desk, buffer, outgoing, .. } = self;
        buffer.drain(posts, |priority, task| outgoing.write(desk, priority, task));
    }

    /// Adds what was written to what waits.
    #[inline]
    pub(super) fn hand_over(&mut self, state: &mut State) {
        self.values.catch_up(state.cuts);
        let Outgoing { bytes, tasks, unsent } = &mut self.outgoing;
        let mut at = 0;
        for (task, length, priority) in tasks.drain(..) {
            let start = at;
            at += length as usize;
            state.accept(priority, &bytes[start..at]);
            self.values.push(priority, task);
        }
        bytes.clear();
        bytes.shrink_to(MOST_SPARE);
        tasks.shrink_to(MOST_SPARE / size_of::<(T, u32, Priority)>());
        unsent.drain(..).for_each(|failure| state.accept_unsent(&failure));
    }
}

/// So many bytes are kept for the next posts.
const MOST_SPARE: usize = 1 << 20;

impl<T: Labeled + Serialize> Outgoing<T> {
    fn write(&mut self, desk: &Desk, priority: Priority, task: T) {
        let start = self.bytes.len();
        match desk.payload.write(&task, &mut self.bytes) {
            Ok(()) => self.tasks.push((task, (self.bytes.len() - start) as u32, priority)),
            Err(cause) => self.bury(desk, task, cause),
        }
    }

    /// A task that cannot be written as bytes: no other worker could take it over.
    #[cold]
    fn bury(&mut self, desk: &Desk, task: T, cause: Cause) {
        let failure = Failure::of(&task, cause, desk.worker());
        self.unsent.push(failure);
        drop_quietly(task);
    }
}

impl<T: Labeled + Serialize> Publish<T> for Office<T> {
    /// A flush: commits what has happened so far, and the task goes on under a lease of its own.
    fn publish(&mut self, posts: &mut Posts<T>) {
        if self.desk.dict().is_kept() {
            // A commit would let the lock go. What was posted is published when the handler ends.
            return;
        }
        self.write(posts);
        let desk = Arc::clone(&self.desk);
        let mut state = desk.lock();
        desk.wait_for_commit(&mut state, &*self.link);
        self.hand_over(&mut state);
        if !state.lost {
            desk.cut(&mut state, &*self.link);
        }
        drop(state);
        self.values.drop_gone();
    }

    fn make_room(&mut self, posts: &mut Posts<T>) {
        self.buffer.make_room(posts);
    }
}
