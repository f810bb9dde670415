//! The lines to worker processes: what each seat has, wants and waits for.

use std::{collections::VecDeque, fmt};

use crate::{
    broker::{Batch, Commit, Release, Token, Write},
    process::{
        death::Blame,
        suspects::SeatLease,
        wire::{ToWorker, WireError, write_frame},
    },
};

/// A seat of a worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeatId {
    pub(super) line: usize,
    pub(super) seat: u16,
}

/// The line to one worker process.
pub(super) struct Line {
    pub(super) seats: Vec<Seat>,
    /// Whether it has asked for a lease yet.
    pub(super) asked: bool,
    /// Frames that are to be sent.
    pub(super) out: Vec<u8>,
    /// Whether it knows that others wait for tasks, and for the lock, and has not committed since.
    pub(super) notified: (bool, bool),
    /// Whether it has given back a suspect for which its process was too full, and nothing has ended there
    /// since.
    pub(super) is_full: bool,
    /// Why its worker is about to end, if it has said so.
    pub(super) dying: Option<Dying>,
}

/// What a worker has said of its own end.
pub(super) struct Dying {
    /// The seat whose lease is to blame, if one is.
    pub(super) seat: Option<u16>,
    pub(super) why: String,
}

#[derive(Default)]
pub(super) struct Seat {
    /// Its leases; it runs the first.
    pub(super) leases: VecDeque<SeatLease>,
    /// Tokens for leases that it wants and has not got.
    pub(super) want: VecDeque<Token>,
    /// The posts of its next commit, as far as they have come.
    pub(super) posts: Vec<Batch>,
    /// The writes of its next commit, as far as they have come.
    pub(super) writes: Vec<Write>,
    /// A commit that waits for the dict's lock to be free.
    pub(super) commit: Option<Commit>,
    /// A lease that waits for the lock.
    pub(super) lock: Option<Token>,
}

impl Line {
    pub(super) fn new(seats: u16) -> Self {
        Self {
            seats: (0..seats).map(|_| Seat::default()).collect(),
            asked: false,
            out: Vec::new(),
            notified: (false, false),
            is_full: false,
            dying: None,
        }
    }

    /// Whether what is leased to it may start: nothing may beside a suspect that runs.
    pub(super) fn has_room(&self) -> bool {
        !self.is_full && !self.leases().any(SeatLease::is_running_suspect)
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = &SeatLease> {
        self.seats.iter().flat_map(|seat| &seat.leases)
    }

    /// How each lease goes back when the worker has died.
    ///
    /// A seat runs the first lease that has not ended; it has not even started those behind it. A suspect
    /// that runs does so alone, so it is the only one that can be to blame, or can be interrupted. A worker
    /// that has said which seat it dies of has interrupted the others.
    pub(super) fn verdicts(&self, blame: Blame) -> Vec<(&SeatLease, Release)> {
        let alone = self.leases().find(|lease| lease.is_running_suspect()).map(|lease| lease.token);
        let mut verdicts = Vec::new();
        for (number, seat) in self.seats.iter().enumerate() {
            let running = seat.leases.iter().find(|lease| !lease.ended);
            let guilty = match &self.dying {
                Some(dying) => dying.seat.map(usize::from) == Some(number),
                None => blame == Blame::Tasks,
            };
            let named = guilty && self.dying.is_some();
            let running = running.filter(|lease| named || !lease.is_suspect);
            let hit = alone.or(running.map(|lease| lease.token));
            verdicts.extend(seat.leases.iter().map(|lease| match hit == Some(lease.token) {
                false => (lease, Release::Unstarted),
                true if guilty => (lease, Release::Crashed),
                true => (lease, Release::Interrupted),
            }));
        }
        verdicts
    }

    /// Fails if the frame is too long: a conflict over several values of the dict, each of which came
    /// in a frame of its own, or a batch that filled one.
    pub(super) fn send(&mut self, down: &ToWorker) -> Result<(), WireError> {
        write_frame(down, &mut self.out)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("seats", &self.seats)
            .field("asked", &self.asked)
            .field("to be sent", &self.out.len())
            .field("notified", &self.notified)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("leases", &self.leases)
            .field("want", &self.want)
            .field("commit that waits", &self.commit.as_ref().map(|commit| commit.token))
            .field("waits for the lock", &self.lock)
            .finish_non_exhaustive()
    }
}
