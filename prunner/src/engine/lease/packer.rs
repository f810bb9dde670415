//! The thread of a worker process that runs code of the program for workers whose handler runs: what
//! waits behind a long handler is committed and given away, and merges are merged again after a conflict.
//!
//! The keeper does neither, because `Serialize` or `Merge` may take as long as they like.

use std::{collections::BTreeSet, io, sync::Arc};

use parking_lot::{Condvar, Mutex};

use super::{Link, Slot};

/// The packer as the keeper has it: a thread that is started when it is called for first. Where no thread
/// is to be had, workers do it themselves when their handlers have ended.
pub(crate) struct Packer {
    calls: Arc<Calls>,
    start: Box<Start>,
    started: bool,
}

type Start = dyn Fn(Arc<Calls>) -> io::Result<()> + Send;

/// The seats that the packer is called for.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    seats: Mutex<BTreeSet<u16>>,
    changed: Condvar,
}

impl Packer {
    /// `start` starts a thread that does what it is [called](Calls::answer) for.
    pub(crate) fn new(start: impl Fn(Arc<Calls>) -> io::Result<()> + Send + 'static) -> Self {
        Self { calls: Arc::default(), start: Box::new(start), started: false }
    }

    /// Asks the packer to look at the worker of a seat.
    pub(super) fn call(&mut self, seat: u16) {
        if self.calls.seats.lock().insert(seat) {
            self.calls.changed.notify_one();
        }
        if !self.started {
            self.started = (self.start)(Arc::clone(&self.calls)).is_ok();
        }
    }
}

impl Calls {
    fn next(&self) -> u16 {
        let mut seats = self.seats.lock();
        loop {
            if let Some(seat) = seats.pop_first() {
                return seat;
            }
            self.changed.wait(&mut seats);
        }
    }

    /// Does what the keeper calls for, as long as the process lives.
    pub(crate) fn answer(&self, slots: &[Arc<Slot>], link: &dyn Link) -> ! {
        loop {
            if let Some(slot) = slots.get(usize::from(self.next())) {
                pack_one(slot, link);
            }
        }
    }
}

fn pack_one(slot: &Slot, link: &dyn Link) {
    let mut state = slot.lock();
    while state.sending.is_answered() {
        slot.apply_answer(&mut state, link);
    }
    if slot.is_wanted_back() && state.may_be_cut() && state.has_surplus() {
        slot.commit(&mut state, link);
    }
}
