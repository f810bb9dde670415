//! Where a worker's follow-ups go: to bytes as soon as their handler has ended, then to those that wait,
//! and back when it is their turn.

use std::{mem::needs_drop, sync::Arc};

use serde::Serialize;

use super::{Link, Slot, lanes::End, outgoing::Outgoing, state::State};
use crate::{
    failure::{Failure, drop_quietly},
    handler::Publish,
    queue::{Buffer, Posts},
    task::{Labeled, Priority},
};

/// The way of a worker's follow-ups to those that wait.
pub(super) struct Office<T> {
    pub(super) slot: Arc<Slot>,
    pub(super) link: Arc<dyn Link>,
    pub(super) buffer: Buffer<T>,
    outgoing: Outgoing,
    /// The last post of normal priority until it is fetched, also as a value. If the newest comes first it
    /// is most often the next to run, and then need not be read from its bytes. No older one ever comes
    /// behind it: what is cut off leaves for good.
    newest: Option<T>,
    /// The follow-up that was picked: as a value, or else as bytes.
    pub(super) fetched: Option<T>,
    pub(super) bytes: Vec<u8>,
}

impl<T: Labeled + Serialize> Office<T> {
    pub(super) fn new(slot: Arc<Slot>, link: Arc<dyn Link>, buffer: Buffer<T>) -> Self {
        let outgoing = Outgoing::default();
        Self { slot, link, buffer, outgoing, newest: None, fetched: None, bytes: Vec::new() }
    }

    /// Writes the posts as bytes.
    #[inline]
    pub(super) fn write(&mut self, posts: &mut Posts<T>) {
        if posts.len() == 0 {
            return;
        }
        let Self { slot, buffer, outgoing, newest, .. } = self;
        buffer.drain(posts, |priority, task| {
            outgoing.posted += 1;
            let lane = &mut outgoing.lanes[priority as usize];
            let done_with = match lane.push(|bytes| slot.payload.write(&task, bytes)) {
                Ok(()) if priority == Priority::Normal => newest.replace(task),
                Ok(()) => Some(task),
                Err(cause) => {
                    outgoing.unsent.push(Failure::of(&task, cause, slot.worker()));
                    Some(task)
                }
            };
            drop_finished(done_with);
        });
    }

    /// Adds what was written to what waits.
    #[inline]
    pub(super) fn hand_over(&mut self, state: &mut State) {
        if self.outgoing.posted > 0 {
            state.accept(&mut self.outgoing);
        }
    }

    /// Fetches the follow-up that was picked from this end of a lane.
    #[inline]
    pub(super) fn fetch(&mut self, lane: usize, end: End, state: &State) {
        let is_newest = lane == Priority::Normal as usize && end == End::Newest;
        self.fetched = if is_newest { self.newest.take() } else { None };
        if self.fetched.is_none() {
            self.bytes.clear();
            self.bytes.extend_from_slice(state.running_bytes().unwrap_or_default());
        }
    }

    /// Drops what nothing waits for any more.
    pub(super) fn forget(&mut self) {
        drop_finished(self.newest.take());
    }
}

/// Drops a task on whose destructor nothing depends any more.
#[inline]
pub(super) fn drop_finished<T>(task: T) {
    if needs_drop::<T>() {
        drop_quietly(task);
    }
}

impl<T: Labeled + Serialize> Publish<T> for Office<T> {
    /// A flush: commits what has happened so far, and the task goes on under a lease of its own.
    fn publish(&mut self, posts: &mut Posts<T>) {
        if self.slot.dict().is_lock_held() {
            // A commit would let the lock go. What was posted is published when the handler ends.
            return;
        }
        self.write(posts);
        let slot = Arc::clone(&self.slot);
        let mut state = slot.lock();
        slot.wait_for_commit(&mut state, &*self.link);
        self.hand_over(&mut state);
        if !state.lease.lost {
            slot.commit(&mut state, &*self.link);
        }
    }

    fn make_room(&mut self, posts: &mut Posts<T>) {
        self.buffer.make_room(posts);
    }
}
