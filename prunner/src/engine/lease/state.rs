//! What one worker has in hand, as bytes and counts.
//!
//! No value of the program is here, so none of its code can run under this lock: not `Serialize` or
//! `Deserialize`, not `Merge`, not the destructor of a task.

use std::{
    collections::VecDeque,
    mem,
    ops::Range,
    time::{Duration, Instant},
};

use super::{
    batching::{Batching, LeaseOrder},
    draft::{Draft, UNREADABLE, letter},
    lanes::{End, Lane},
    outgoing::Outgoing,
    roots::{Roots, Running},
    sending::Sending,
};
use crate::{
    broker::{Batch, DeadLetter, Lease, Lock, Malformed, Read, Tasks, Token},
    engine::stop::Phase,
    failure::{Cause, Failure},
    stats::LabelTable,
    task::Priority,
};

/// Where the next task is to be taken from.
pub(super) enum Pick {
    /// The lease's task at this place.
    Root(Range<usize>),
    /// A follow-up of this priority, from this end.
    Local(usize, End),
    /// The bytes of the lease are malformed from here on.
    Malformed,
    /// The lease has nothing more that may start.
    Nothing,
}

pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) lease: Current,
    /// Whether the dict cannot be made whole: nothing can be committed any more.
    pub(super) broken: bool,
    /// Tasks of the lease that were not started yet.
    pub(super) roots: Roots,
    /// Follow-ups, by priority.
    pub(super) local: [Lane; 3],
    /// How often all that was not started has left or changed its place.
    pub(super) cuts: u64,
    /// The task that runs.
    running: Option<Running>,
    pub(super) done: Done,
    pub(super) handler: Handler,
    prefetched: Prefetched,
    pub(super) sending: Sending,
    pub(super) question: Question,
}

/// The lease that a worker has, and what the broker believes to be in it.
#[derive(Default)]
pub(super) struct Current {
    pub(super) token: Option<Token>,
    pub(super) origin: Batch,
    /// Whether it is gone: what it has done so far counts for nothing.
    pub(super) lost: bool,
    /// Whether it holds the dict's lock.
    pub(super) held: bool,
    /// Whether it has got the lock since the worker looked at the clock: waiting for it is no work.
    pub(super) waited: bool,
    /// Whether tasks run by themselves, without their follow-ups: the lease ends after each. It may be
    /// a suspect; or a task that failed had written under the lock; or what was posted comes first.
    pub(super) one_by_one: bool,
}

/// What the tasks that have ended since the last commit have done, and the broker does not know.
#[derive(Default)]
pub(super) struct Done {
    pub(super) labels: LabelTable,
    posted: u64,
    dead: Vec<DeadLetter>,
    /// How many have ended.
    pub(super) ended: u64,
}

impl Done {
    /// A task has died: one of the label of this row.
    fn die(&mut self, label: usize, task: Vec<u8>, failure: &Failure) {
        self.labels.die(label);
        self.dead.push(letter(task, failure));
        self.ended += 1;
    }
}

/// Leases that have come and were not started, and how many more were asked for.
#[derive(Default)]
struct Prefetched {
    leases: VecDeque<Lease>,
    requested: usize,
}

/// What the running handler asks on behalf of the lease.
#[derive(Default)]
pub(super) struct Question {
    /// Whether it waits for an answer.
    pub(super) asking: bool,
    pub(super) lock: Option<Lock>,
    pub(super) read: Option<Read>,
}

/// The handler that runs, or ran last: its number differs from that of the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handler {
    /// How many were started before and with it.
    pub(super) number: u64,
    /// When it was started, if handlers have a limit.
    pub(super) since: Option<Instant>,
    /// How long it has waited for the dict's lock, and since when it does so now.
    pub(super) waited: Duration,
    pub(super) waits_since: Option<Instant>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Going,
            lease: Current::default(),
            broken: false,
            roots: Roots::default(),
            local: Default::default(),
            cuts: 0,
            running: None,
            done: Done::default(),
            handler: Handler::default(),
            prefetched: Prefetched::default(),
            sending: Sending::default(),
            question: Question::default(),
        }
    }

    /// Makes tokens for as many leases as are missing to have `leases` in all.
    pub(super) fn want(&mut self, leases: usize) -> Vec<Token> {
        let there = self.prefetched.leases.len()
            + self.prefetched.requested
            + usize::from(self.lease.token.is_some());
        let missing = if self.phase == Phase::Going { leases.saturating_sub(there) } else { 0 };
        self.prefetched.requested += missing;
        (0..missing).map(|_| Token::random()).collect()
    }

    /// A lease that was asked for has come.
    pub(super) fn receive(&mut self, lease: Lease) {
        self.prefetched.requested = self.prefetched.requested.saturating_sub(1);
        self.prefetched.leases.push_back(lease);
    }

    pub(super) fn next_lease(&mut self) -> Option<Lease> {
        self.prefetched.leases.pop_front()
    }

    /// Whether leases have come and were not started.
    pub(super) fn has_prefetched(&self) -> bool {
        !self.prefetched.leases.is_empty()
    }

    /// How many leases have come and were not started.
    pub(super) fn count_prefetched(&self) -> usize {
        self.prefetched.leases.len()
    }

    /// Takes back what has come and was not started.
    pub(super) fn take_prefetched(&mut self) -> Vec<Token> {
        mem::take(&mut self.prefetched.leases).into_iter().map(|lease| lease.token).collect()
    }

    pub(super) fn adopt(&mut self, lease: Lease) {
        self.lease.token = Some(lease.token);
        self.lease.origin = lease.batch;
        (self.lease.lost, self.lease.one_by_one, self.lease.held) =
            (false, self.lease.origin.suspect, false);
        self.open_roots();
    }

    fn open_roots(&mut self) {
        self.roots = Roots::of(&self.lease.origin.tasks);
        self.cuts += 1;
    }

    /// Whether the lease must end although there is something to do.
    #[inline]
    pub(super) fn must_end(&self) -> bool {
        self.phase != Phase::Going || self.broken || (self.lease.one_by_one && self.done.ended > 0)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.lease.origin.suspect
    }

    /// Whether its only task has lost workers: what it is called must be known if it loses one more.
    pub(super) fn is_endangered(&self) -> bool {
        self.is_suspect()
            || (self.lease.origin.interruptions > 0 && self.lease.origin.tasks.len() == 1)
    }

    /// Whether there is something that others could run.
    pub(super) fn has_surplus(&self) -> bool {
        !self.roots.is_at_end() || self.local.iter().any(|lane| !lane.is_empty())
    }

    /// Whether a handler runs.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether the lease can be ended while its handler runs: what was written under the lock belongs to
    /// that, too, and what it has asked is for the lease that it has.
    pub(super) fn may_be_cut(&self) -> bool {
        let quiet = !self.lease.held && !self.question.asking && !self.lease.lost && !self.broken;
        self.is_running() && quiet && self.sending.is_idle()
    }

    /// Everything that has to be renewed.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        let prefetched = self.prefetched.leases.iter().map(|lease| lease.token);
        self.lease.token.into_iter().chain(prefetched).chain(self.sending.tokens())
    }

    /// Leases of this worker that are gone.
    pub(super) fn lose(&mut self, gone: &[Token]) {
        // While a commit is under way its answer decides, not the renewal.
        let undecided = self.sending.undecided();
        self.lease.lost |=
            self.lease.token.is_some_and(|it| Some(it) != undecided && gone.contains(&it));
        self.prefetched.leases.retain(|lease| !gone.contains(&lease.token));
    }

    /// Takes over what a handler has posted that has returned `Ok` or flushes.
    #[inline]
    pub(super) fn accept(&mut self, outgoing: &mut Outgoing) {
        if let Some(Running::Local(lane, place)) = &self.running {
            self.running = Some(Running::Apart(self.local[*lane].at(place.clone()).to_vec()));
        }
        self.done.posted += mem::take(&mut outgoing.posted);
        for (lane, posts) in self.local.iter_mut().zip(&mut outgoing.lanes) {
            if !posts.is_empty() {
                lane.append(posts);
            }
        }
        if !outgoing.unsent.is_empty() {
            self.bury(mem::take(&mut outgoing.unsent));
        }
    }

    /// Posts that cannot be written as bytes: no other worker could run them.
    #[cold]
    fn bury(&mut self, unsent: Vec<Failure>) {
        unsent.iter().for_each(|failure| self.die_unread(Vec::new(), failure));
    }

    /// Chooses the next task, which runs from now on.
    #[inline]
    pub(super) fn pick(&mut self, batching: Batching) -> Pick {
        let [high, normal, low] =
            [Priority::High, Priority::Normal, Priority::Low].map(|it| it as usize);
        let end = batching.end();
        let (as_posted, before_roots) = match batching.order() {
            LeaseOrder::NewestFirst => (false, 0..normal + 1),
            LeaseOrder::OldestFirst => (false, 0..high + 1),
            // Of these nothing is queued.
            LeaseOrder::AsPosted => (true, 0..self.lease.origin.priority as usize),
        };
        for lane in before_roots {
            if self.start_local(lane, end) {
                return Pick::Local(lane, end);
            }
        }
        match self.roots.next() {
            Some(Ok(place)) => {
                self.running = Some(Running::Root(place.clone()));
                return Pick::Root(place);
            }
            Some(Err(error)) => {
                self.die_malformed(&error);
                return Pick::Malformed;
            }
            None if as_posted => return Pick::Nothing,
            None => {}
        }
        // Others may have something of a higher priority.
        let last = if self.lease.origin.priority == Priority::Low { low } else { normal };
        match (normal..=last).find(|&lane| self.start_local(lane, end)) {
            Some(lane) => Pick::Local(lane, end),
            None => Pick::Nothing,
        }
    }

    #[inline]
    fn start_local(&mut self, lane: usize, end: End) -> bool {
        let Some(place) = self.local[lane].take(end) else { return false };
        self.running = Some(Running::Local(lane, place));
        true
    }

    /// The running task has ended.
    #[inline]
    pub(super) fn end_running(&mut self) {
        self.done.ended += 1;
        self.running = None;
    }

    /// The bytes of the running task.
    #[inline]
    pub(super) fn running_bytes(&self) -> Option<&[u8]> {
        Some(match self.running.as_ref()? {
            Running::Root(place) => self.roots.tasks.at(place.clone()),
            Running::Local(lane, place) => self.local[*lane].at(place.clone()),
            Running::Apart(bytes) => bytes,
        })
    }

    /// The running task has died.
    pub(super) fn die_running(&mut self, label: usize, failure: &Failure) {
        let task = self.running_bytes().map(<[u8]>::to_vec).unwrap_or_default();
        self.done.die(label, task, failure);
        self.running = None;
    }

    /// The running task could not even be counted.
    #[cold]
    pub(super) fn die_uncounted(&mut self, failure: &Failure) {
        let label = self.done.labels.row(failure.label());
        self.die_running(label, failure);
    }

    /// A task has died of its bytes.
    fn die_unread(&mut self, task: Vec<u8>, failure: &Failure) {
        let label = self.done.labels.row(failure.label());
        self.done.die(label, task, failure);
    }

    #[cold]
    fn die_malformed(&mut self, error: &Malformed) {
        let failure = Failure::new(UNREADABLE, None, Cause::text(error.to_string()), 0);
        self.die_unread(Vec::new(), &failure);
    }

    /// Drops everything that the lease has done and not committed.
    fn forget(&mut self) {
        self.local = Default::default();
        self.roots.close();
        self.running = None;
        self.cuts += 1;
        self.done.labels.take();
        self.done.dead.clear();
        (self.done.posted, self.done.ended) = (0, 0);
    }

    /// Drops a lease that is gone.
    pub(super) fn abandon(&mut self) {
        self.forget();
        (self.lease.token, self.lease.held, self.lease.lost) = (None, false, false);
    }

    /// Starts the lease again, one task at a time: a task that has failed had written under the lock
    /// what cannot be told apart any more from what others have written.
    pub(super) fn start_again(&mut self) {
        self.forget();
        self.lease.one_by_one = true;
        self.open_roots();
    }

    /// Ends the lease as it stands. A task that runs goes on under a lease of its own.
    ///
    /// If tasks run exactly as they were posted, the roots that were not started go on under that lease,
    /// too: posted, they would come behind tasks that are newer.
    pub(super) fn cut(&mut self, batching: Batching) -> Option<Draft> {
        let token = self.lease.token.take()?;
        let mut kept = self.running_bytes().map(Tasks::one).unwrap_or_default();
        let as_posted = batching.order() == LeaseOrder::AsPosted;
        if as_posted
            && self.phase == Phase::Going
            && let Err(error) = self.roots.hand_on(|task| kept.push(task))
        {
            self.die_malformed(&error);
        }
        let own = self.lease.origin.priority as usize;
        // The rest of the lease must wait for what comes before it.
        self.lease.one_by_one |= as_posted && self.local[..own].iter().any(|lane| !lane.is_empty());
        let like = Batch { tasks: Tasks::new(), ..self.lease.origin };
        let (roots, local) = (mem::take(&mut self.roots), mem::take(&mut self.local));
        self.cuts += 1;
        let successor = (!kept.is_empty()).then(|| self.go_on_with(kept));
        let draft = Draft {
            token,
            successor,
            like,
            roots,
            local,
            posted: mem::take(&mut self.done.posted),
            labels: self.done.labels.take(),
            dead: mem::take(&mut self.done.dead),
        };
        (self.done.ended, self.lease.held) = (0, false);
        Some(draft)
    }

    /// The lease under which these tasks go on, the running one first.
    fn go_on_with(&mut self, tasks: Tasks) -> Lease {
        self.lease.origin.tasks = tasks.share();
        self.open_roots();
        if self.is_running() {
            self.running = self.roots.next().and_then(Result::ok).map(Running::Root);
        }
        let token = Token::random();
        self.lease.token = Some(token);
        Lease { token, batch: self.lease.origin.clone() }
    }
}
