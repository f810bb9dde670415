//! Everything that the workers share, and where each of them is.

use super::phase::Phase;
use crate::store_buffer::Memory;

/// The largest number of workers that fits the model's memory.
pub const MOST_WORKERS: usize = 3;

/// The cells of memory: the flag `visible` of every queue, then the flag `notified` of every
/// worker.
const CELLS: usize = 2 * MOST_WORKERS;

/// The cell that says whether there is something to steal from a queue.
pub(super) const fn visible(queue: usize) -> usize {
    queue
}

/// The cell that says whether a worker may stop sleeping.
pub(super) const fn notified(worker: usize) -> usize {
    MOST_WORKERS + worker
}

const fn bit(number: usize) -> u8 {
    1 << number
}

/// What memory and all workers look like between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State<const WORKERS: usize> {
    pub(super) memory: Memory<CELLS, WORKERS>,
    pub(super) phases: [Phase; WORKERS],
    /// How many tasks each queue holds.
    pub(super) queues: [u8; WORKERS],
    /// How many tasks may still be posted.
    pub(super) budget: u8,
    /// The one half of the word. The other half, `sleepers`, always is the length of the list.
    pub(super) searching: u8,
    /// Whether a waker holds the mutex of the list.
    pub(super) mutex: bool,
    pub(super) done: bool,
    /// Whether all handlers are long from now on.
    pub(super) long_handlers: bool,
    /// The workers on the list of sleepers, a bit each.
    list: u8,
    /// The queues that a thief has locked, a bit each.
    locked: u8,
}

impl<const WORKERS: usize> State<WORKERS> {
    /// Worker 0 runs the first task, the others sleep.
    pub(super) fn new(budget: u8) -> Self {
        assert!(WORKERS <= MOST_WORKERS, "memory is laid out for {MOST_WORKERS} workers");
        let mut phases = [Phase::Parked; WORKERS];
        phases[0] = Phase::Running;
        State {
            memory: Memory::default(),
            phases,
            queues: [0; WORKERS],
            budget,
            searching: 0,
            mutex: false,
            done: false,
            long_handlers: false,
            list: (1..WORKERS).map(bit).sum(),
            locked: 0,
        }
    }

    pub(super) fn enter(&mut self, me: usize, phase: Phase) {
        self.phases[me] = phase;
    }

    pub(super) fn is_visible(&self, me: usize, queue: usize) -> bool {
        self.memory.load(me, visible(queue)) == 1
    }

    pub(super) fn is_notified(&self, me: usize) -> bool {
        self.memory.load(me, notified(me)) == 1
    }

    fn queued(&self) -> u8 {
        self.queues.iter().sum()
    }

    /// The oracle: whether there is no task anywhere.
    pub(super) fn all_finished(&self) -> bool {
        self.queued() == 0 && !self.phases.iter().any(|phase| phase.holds_task())
    }

    /// Whether a handler may end. A long one insists that a task that waits and a worker that has
    /// nothing to do meet.
    pub(super) fn handler_may_end(&self) -> bool {
        let all_in_handlers = || self.phases.iter().all(|phase| phase.is_in_handler());
        !self.long_handlers || self.queued() == 0 || all_in_handlers()
    }

    /// How many workers search, or have been made to by whoever took them off the list.
    pub(super) fn true_searchers(&self, leaves_early: bool) -> u8 {
        let searches = |worker: &usize| {
            let phase = self.phases[*worker];
            phase.is_searching(leaves_early) || phase.is_sleeping() && !self.is_listed(*worker)
        };
        (0..WORKERS).filter(searches).count() as u8
    }
}

/// The list of sleepers, and the word.
impl<const WORKERS: usize> State<WORKERS> {
    pub(super) fn is_listed(&self, worker: usize) -> bool {
        self.list & bit(worker) != 0
    }

    /// The numbers of the workers on the list.
    pub(super) fn listed(&self) -> impl Iterator<Item = usize> + use<WORKERS> {
        let list = self.list;
        (0..WORKERS).filter(move |&worker| list & bit(worker) != 0)
    }

    pub(super) fn somebody_sleeps(&self) -> bool {
        self.list != 0
    }

    /// Whether the word says that a poster must wake somebody.
    pub(super) fn must_wake(&self) -> bool {
        self.somebody_sleeps() && self.searching == 0
    }

    /// Puts a searcher on the list: one change of the word.
    pub(super) fn enlist(&mut self, worker: usize) {
        self.list |= bit(worker);
        self.searching -= 1;
    }

    /// Makes a sleeper a searcher: one change of the word.
    pub(super) fn unlist(&mut self, worker: usize) {
        self.list &= !bit(worker);
        self.searching += 1;
    }

    /// Whether `me` could take the mutex, by a locked instruction.
    pub(super) fn can_take_mutex(&self, me: usize) -> bool {
        !self.mutex && self.memory.is_drained(me)
    }
}

/// The queues.
impl<const WORKERS: usize> State<WORKERS> {
    pub(super) fn is_locked(&self, queue: usize) -> bool {
        self.locked & bit(queue) != 0
    }

    pub(super) fn lock(&mut self, queue: usize) {
        self.locked |= bit(queue);
    }

    /// The owner puts tasks into its queue. Only the first one changes `visible`.
    pub(super) fn push(&mut self, me: usize, tasks: u8) {
        if tasks > 0 && self.queues[me] == 0 {
            self.memory.store(me, visible(me), 1);
        }
        self.queues[me] += tasks;
    }

    /// The owner takes a task out of its queue.
    pub(super) fn pop(&mut self, me: usize) {
        self.queues[me] -= 1;
        if self.queues[me] == 0 {
            self.memory.store(me, visible(me), 0);
        }
    }

    /// A thief takes half of a queue and unlocks it; returns how many tasks it got.
    ///
    /// Its stores go straight to memory. Until they are there, everybody finds the queue locked; so
    /// a store buffer would only make this step come later.
    pub(super) fn take_half(&mut self, me: usize, queue: usize) -> u8 {
        let half = self.queues[queue].div_ceil(2);
        self.queues[queue] -= half;
        self.memory.swap(me, visible(queue), u8::from(self.queues[queue] > 0));
        self.locked &= !bit(queue);
        half
    }
}
