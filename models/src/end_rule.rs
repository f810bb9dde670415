//! How the end is found: epochs that turn odd before a take, and two scans of them.
//!
//! # The protocol
//!
//! Every worker owns a queue and an **epoch**: odd while it is busy, even while it is idle.
//!
//! 1. A busy worker runs a task, which may post to the worker's own queue, and then pops the next
//!    one from there.
//! 2. A worker that found its own queue empty, and holds no task, turns idle (epoch + 1).
//! 3. An idle worker peeks at the queues of the others. Only if it sees something does it turn busy
//!    (epoch + 1), and only then does it try to take: one task, or half of the queue. A take that
//!    finds nothing leads back to 2.
//! 4. An idle worker that sees nothing becomes the detector. It reads all epochs, which must be
//!    even; reads all queues, which must be empty; reads all epochs again, which must be unchanged.
//!    Then it declares the end.
//!
//! # The property
//!
//! When a worker declares the end, no task is queued and none is in anybody's hands; and the end
//! can always still be reached. Memory is sequentially consistent here: store buffers are the
//! matter of [`last_look`](super::last_look), [`biased_lock`](super::biased_lock) and
//! [`park_wake`](super::park_wake).
//!
//! # Hazards
//!
//! - **Unseen hands**: a task that has left its queue before its taker has turned busy is nowhere
//!   to be seen. See [`Variant::BusyAfterTake`].
//! - **Overtaken scan**: a task that moves from a worker not yet read to one already read is never
//!   met. With queues of their own this takes three workers. See [`Variant::OneScan`].
//! - **Same flag, other time (ABA)**: a worker that was busy between two scans looks the same in
//!   both, if all it shows is a flag. The task has to dodge both scans: three workers and three
//!   posts. See [`Variant::BooleanFlags`].
//! - **Orphaned queue**: an outside poster turns idle while its queue is full, and so does a worker
//!   where the queue is shared. See [`Variant::QueuesUnread`].

use super::checker::{Model, Turn};

/// The end rule with `WORKERS` workers.
#[derive(Clone, Copy, Debug)]
pub struct EndRule<const WORKERS: usize> {
    /// The protocol, or one of its wrong twins.
    pub variant: Variant,
    /// Where tasks wait.
    pub queues: Queues,
    /// Who is there from the beginning.
    pub crew: Crew,
    /// How many tasks may be posted in all, on top of the first one.
    pub budget: u8,
}

/// The protocol, or what one of its wrong twins does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The rule as it should be.
    Epochs,
    /// Wrong: a worker takes first, and turns busy once it has the task.
    BusyAfterTake,
    /// Wrong: the detector does not read the epochs a second time.
    OneScan,
    /// Wrong: the second scan only asks whether the epochs are even, as if they were flags.
    BooleanFlags,
    /// The detector does not read the queues. Wrong with a shared queue or an outside poster; right
    /// where every queue belongs to a worker, because an idle worker's queue is empty by rule 2.
    QueuesUnread,
}

/// Where tasks wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queues {
    /// Every worker has a queue, which only its owner adds to.
    PerWorker,
    /// One queue for all: a worker is idle between any two tasks, and takes one at a time.
    Shared,
}

/// Who is there from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crew {
    /// All workers, busy.
    Together,
    /// Only worker 0. The others have the even epoch 0 until a post starts them.
    Lazy,
    /// All workers, but the last one is an outside poster: it has an epoch and a queue, never takes
    /// anything, and turns idle when it leaves, whatever its queue still holds.
    WithOutsider,
}

impl<const WORKERS: usize> EndRule<WORKERS> {
    /// The sound rule: queues of their own, all workers there together.
    pub fn new(budget: u8) -> Self {
        EndRule {
            variant: Variant::Epochs,
            queues: Queues::PerWorker,
            crew: Crew::Together,
            budget,
        }
    }
}

/// What all workers together look like between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State<const WORKERS: usize> {
    workers: [Worker<WORKERS>; WORKERS],
    epochs: [u8; WORKERS],
    /// How many tasks each queue holds. A shared queue is number 0.
    queues: [u8; WORKERS],
    budget: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Worker<const WORKERS: usize> {
    phase: Phase,
    /// The epochs that the first scan has read. Zeros at any other time, so that equal situations
    /// are equal states.
    snapshot: [u8; WORKERS],
}

/// Where a worker is in its loop. A number is the queue or worker that it deals with next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    NotStarted,
    /// Busy, and holds no task.
    Next,
    /// Holds a task.
    Running,
    /// Holds a task, and so many more on the way from another queue to its own.
    Carrying(u8),
    /// Found nothing to do, but has not said so yet.
    OutOfWork,
    Peeking(u8),
    /// Saw something, and is about to turn busy.
    TurningBusy(u8),
    Taking(u8),
    /// Only in a wrong twin: holds a task, and still looks idle.
    BusyTooLate,
    ScanningFirst(u8),
    ReadingQueues(u8),
    ScanningAgain(u8),
    /// An outside poster that may still post.
    Outside,
    /// An outside poster that has turned idle for good.
    Gone,
    /// Has declared the end.
    Done,
}

impl Phase {
    /// How many tasks a worker in this phase has in its hands.
    fn tasks(self) -> u8 {
        match self {
            Phase::Running | Phase::BusyTooLate => 1,
            Phase::Carrying(more) => 1 + more,
            _ => 0,
        }
    }
}

impl<const WORKERS: usize> State<WORKERS> {
    fn unfinished(&self) -> u8 {
        let held = self.workers.iter().map(|worker| worker.phase.tasks());
        held.chain(self.queues).sum()
    }

    fn ended(&self) -> bool {
        self.workers.iter().any(|worker| worker.phase == Phase::Done)
    }

    fn enter(&mut self, me: usize, phase: Phase) {
        self.workers[me].phase = phase;
    }

    /// Turns an idle worker busy, or a busy one idle.
    fn change_epoch(&mut self, me: usize, then: Phase) {
        self.epochs[me] += 1;
        self.enter(me, then);
    }

    /// The detector has seen that the end is not reached: it forgets its scan, and peeks again.
    fn give_up_scan(&mut self, me: usize) {
        self.workers[me].snapshot = [0; WORKERS];
        self.enter(me, Phase::Peeking(0));
    }
}

type Steps<'a, const WORKERS: usize> = Turn<'a, State<WORKERS>>;

impl<const WORKERS: usize> EndRule<WORKERS> {
    /// The queue to which worker `me` posts.
    fn home(&self, me: usize) -> usize {
        match self.queues {
            Queues::PerWorker => me,
            Queues::Shared => 0,
        }
    }

    /// The first queue from `at` on at which worker `me` peeks; `None` when it has seen them all.
    fn peek_from(&self, me: usize, at: usize) -> Option<usize> {
        match self.queues {
            Queues::PerWorker => (at..WORKERS).find(|&queue| queue != me),
            Queues::Shared => (at == 0).then_some(0),
        }
    }

    /// Busy, between two tasks (rule 1), or at the end of them (rule 2).
    fn next(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if self.queues == Queues::PerWorker && turn.state.queues[me] > 0 {
            turn.step("pops a task of its own", |next| {
                next.queues[me] -= 1;
                next.enter(me, Phase::Running);
            });
        } else {
            turn.step("has no task left", |next| next.enter(me, Phase::OutOfWork));
        }
    }

    /// Busy: posts, as long as the budget lasts.
    fn post(&self, turn: &mut Steps<'_, WORKERS>) {
        if turn.state.budget == 0 {
            return;
        }
        let home = self.home(turn.actor);
        let post = |next: &mut State<WORKERS>| {
            next.budget -= 1;
            next.queues[home] += 1;
        };
        turn.step_on("posts to queue", home, post);
        let asleep = |worker: &Worker<WORKERS>| worker.phase == Phase::NotStarted;
        if let Some(sleeper) = turn.state.workers.iter().position(asleep) {
            turn.step_on("posts to its own queue, and starts worker", sleeper, |next| {
                post(next);
                next.enter(sleeper, Phase::Peeking(0));
            });
        }
    }

    /// Idle, with an even epoch (rule 3).
    fn peek(&self, at: usize, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let Some(queue) = self.peek_from(me, at) else {
            turn.step("becomes the detector", |next| next.enter(me, Phase::ScanningFirst(0)));
            return;
        };
        let number = queue as u8;
        if turn.state.queues[queue] == 0 {
            let then = Phase::Peeking(number + 1);
            turn.step_on("sees nothing in queue", queue, |next| next.enter(me, then));
        } else {
            let then = match self.variant {
                Variant::BusyAfterTake => Phase::Taking(number),
                _ => Phase::TurningBusy(number),
            };
            turn.step_on("sees a task in queue", queue, |next| next.enter(me, then));
        }
    }

    /// Busy, for the sake of a queue that was not empty when it peeked.
    fn take(&self, queue: usize, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let late = self.variant == Variant::BusyAfterTake;
        let there = turn.state.queues[queue];
        if there == 0 {
            let then = if late { Phase::Peeking(0) } else { Phase::OutOfWork };
            turn.step_on("comes too late for queue", queue, |next| next.enter(me, then));
            return;
        }
        turn.step_on("takes a task from queue", queue, |next| {
            next.queues[queue] -= 1;
            next.enter(me, if late { Phase::BusyTooLate } else { Phase::Running });
        });
        let half = there.div_ceil(2);
        if half > 1 && self.queues == Queues::PerWorker && !late {
            turn.step_on("takes half of queue", queue, |next| {
                next.queues[queue] -= half;
                next.enter(me, Phase::Carrying(half - 1));
            });
        }
    }

    /// The detector reads an epoch for the first time (rule 4).
    fn scan_first(&self, at: usize, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let epoch = turn.state.epochs[at];
        if epoch % 2 == 1 {
            turn.step_on("as detector finds busy worker", at, |next| next.give_up_scan(me));
            return;
        }
        let then = match self.variant {
            _ if at + 1 < WORKERS => Phase::ScanningFirst(at as u8 + 1),
            Variant::QueuesUnread => Phase::ScanningAgain(0),
            _ => Phase::ReadingQueues(0),
        };
        turn.step_on("as detector finds idle worker", at, |next| {
            next.workers[me].snapshot[at] = epoch;
            next.enter(me, then);
        });
    }

    /// The detector reads a queue.
    fn read_queue(&self, at: usize, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        if turn.state.queues[at] > 0 {
            turn.step_on("as detector finds tasks in queue", at, |next| next.give_up_scan(me));
            return;
        }
        let last = self.home(WORKERS - 1);
        let then = match self.variant {
            _ if at < last => Phase::ReadingQueues(at as u8 + 1),
            Variant::OneScan => Phase::Done,
            _ => Phase::ScanningAgain(0),
        };
        turn.step_on("as detector finds nothing in queue", at, |next| next.enter(me, then));
    }

    /// The detector reads an epoch for the second time.
    fn scan_again(&self, at: usize, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        let epoch = turn.state.epochs[at];
        let passes = match self.variant {
            Variant::BooleanFlags => epoch.is_multiple_of(2),
            _ => epoch == turn.state.workers[me].snapshot[at],
        };
        if passes {
            let last = at + 1 == WORKERS;
            let then = if last { Phase::Done } else { Phase::ScanningAgain(at as u8 + 1) };
            turn.step_on("as detector finds unchanged worker", at, |next| next.enter(me, then));
        } else {
            turn.step_on("as detector finds changed worker", at, |next| next.give_up_scan(me));
        }
    }
}

impl<const WORKERS: usize> Model for EndRule<WORKERS> {
    type State = State<WORKERS>;

    /// One task in queue 0, and every worker that runs busy, as if it had just finished one.
    fn initial(&self) -> State<WORKERS> {
        let (phase, epoch) = match self.crew {
            Crew::Lazy => (Phase::NotStarted, 0),
            Crew::Together | Crew::WithOutsider => (Phase::Next, 1),
        };
        let worker = Worker { phase, snapshot: [0; WORKERS] };
        let mut state = State {
            workers: std::array::from_fn(|_| worker.clone()),
            epochs: [epoch; WORKERS],
            queues: [0; WORKERS],
            budget: self.budget,
        };
        state.enter(0, Phase::Next);
        state.epochs[0] = 1;
        state.queues[0] = 1;
        if self.crew == Crew::WithOutsider {
            state.enter(WORKERS - 1, Phase::Outside);
        }
        state
    }

    fn actors(&self) -> usize {
        WORKERS
    }

    fn turn(&self, turn: &mut Steps<'_, WORKERS>) {
        let me = turn.actor;
        match turn.state.workers[me].phase {
            Phase::NotStarted | Phase::Gone | Phase::Done => {}
            Phase::Next => self.next(turn),
            Phase::Running => {
                self.post(turn);
                turn.step("finishes its task", |next| next.enter(me, Phase::Next));
            }
            Phase::Carrying(more) => turn.step("puts the rest into its own queue", |next| {
                next.queues[me] += more;
                next.enter(me, Phase::Running);
            }),
            Phase::OutOfWork => {
                turn.step("turns idle", |next| next.change_epoch(me, Phase::Peeking(0)));
            }
            Phase::Peeking(at) => self.peek(at.into(), turn),
            Phase::TurningBusy(queue) => {
                turn.step("turns busy", |next| next.change_epoch(me, Phase::Taking(queue)));
            }
            Phase::Taking(queue) => self.take(queue.into(), turn),
            Phase::BusyTooLate => {
                turn.step("turns busy, too late", |next| next.change_epoch(me, Phase::Running));
            }
            Phase::ScanningFirst(at) => self.scan_first(at.into(), turn),
            Phase::ReadingQueues(at) => self.read_queue(at.into(), turn),
            Phase::ScanningAgain(at) => self.scan_again(at.into(), turn),
            Phase::Outside => {
                self.post(turn);
                turn.step("turns idle for good", |next| next.change_epoch(me, Phase::Gone));
            }
        }
    }

    fn violation(&self, state: &State<WORKERS>) -> Option<&'static str> {
        let early = state.ended() && state.unfinished() > 0;
        early.then_some("the end was declared while a task was unfinished")
    }

    /// Nothing can be posted once every worker is idle, so the first declaration ends the model.
    fn is_final(&self, state: &State<WORKERS>) -> bool {
        state.ended()
    }
}
