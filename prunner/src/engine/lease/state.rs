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
    /// The lease, and what the broker believes to be in it.
    pub(super) token: Option<Token>,
    pub(super) origin: Batch,
    /// Whether the lease is gone: what it has done so far counts for nothing.
    pub(super) lost: bool,
    /// Whether the dict cannot be made whole: nothing can be committed any more.
    pub(super) broken: bool,
    /// Its tasks that were not started yet.
    pub(super) roots: Roots,
    /// Follow-ups, by priority.
    pub(super) local: [Lane; 3],
    /// How often all that was not started has left or changed its place.
    pub(super) cuts: u64,
    /// The task that runs.
    running: Option<Running>,
    /// What those that have ended have done, and the broker does not know.
    pub(super) labels: LabelTable,
    pub(super) posted: u64,
    pub(super) dead: Vec<DeadLetter>,
    /// How many have ended since the last commit.
    pub(super) ended: u64,
    pub(super) handler: Handler,
    /// Whether the lease holds the dict's lock.
    pub(super) held: bool,
    /// Whether it has got it since the worker looked at the clock: waiting for it is no work.
    pub(super) waited: bool,
    /// Whether tasks run by themselves, without their follow-ups: the lease ends after each. It may be
    /// a suspect; or a task that failed had written under the lock; or what was posted comes first.
    pub(super) one_by_one: bool,
    /// Leases that have come and were not started, and how many more were asked for.
    prefetched: VecDeque<Lease>,
    requested: usize,
    pub(super) sending: Sending,
    /// Whether the running handler waits for an answer to what it has asked on behalf of the lease.
    pub(super) asking: bool,
    pub(super) lock_answer: Option<Lock>,
    pub(super) read_answer: Option<Read>,
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
            token: None,
            origin: Batch::default(),
            lost: false,
            broken: false,
            roots: Roots::default(),
            local: Default::default(),
            cuts: 0,
            running: None,
            labels: LabelTable::default(),
            posted: 0,
            dead: Vec::new(),
            ended: 0,
            handler: Handler::default(),
            held: false,
            waited: false,
            one_by_one: false,
            prefetched: VecDeque::new(),
            requested: 0,
            sending: Sending::default(),
            asking: false,
            lock_answer: None,
            read_answer: None,
        }
    }

    /// Makes tokens for as many leases as are missing to have `leases` in all.
    pub(super) fn want(&mut self, leases: usize) -> Vec<Token> {
        let there = self.prefetched.len() + self.requested + usize::from(self.token.is_some());
        let missing = if self.phase == Phase::Going { leases.saturating_sub(there) } else { 0 };
        self.requested += missing;
        (0..missing).map(|_| Token::random()).collect()
    }

    /// A lease that was asked for has come.
    pub(super) fn receive(&mut self, lease: Lease) {
        self.requested = self.requested.saturating_sub(1);
        self.prefetched.push_back(lease);
    }

    pub(super) fn next_lease(&mut self) -> Option<Lease> {
        self.prefetched.pop_front()
    }

    /// Whether leases have come and were not started.
    pub(super) fn has_prefetched(&self) -> bool {
        !self.prefetched.is_empty()
    }

    /// How many leases have come and were not started.
    pub(super) fn count_prefetched(&self) -> usize {
        self.prefetched.len()
    }

    /// Takes back what has come and was not started.
    pub(super) fn take_prefetched(&mut self) -> Vec<Token> {
        mem::take(&mut self.prefetched).into_iter().map(|lease| lease.token).collect()
    }

    pub(super) fn adopt(&mut self, lease: Lease) {
        self.token = Some(lease.token);
        self.origin = lease.batch;
        (self.lost, self.one_by_one, self.held) = (false, self.origin.suspect, false);
        self.open_roots();
    }

    fn open_roots(&mut self) {
        self.roots = Roots::of(&self.origin.tasks);
        self.cuts += 1;
    }

    /// Whether the lease must end although there is something to do.
    #[inline]
    pub(super) fn must_end(&self) -> bool {
        self.phase != Phase::Going || self.broken || (self.one_by_one && self.ended > 0)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.origin.suspect
    }

    /// Whether its only task has lost workers: what it is called must be known if it loses one more.
    pub(super) fn is_endangered(&self) -> bool {
        self.is_suspect() || (self.origin.interruptions > 0 && self.origin.tasks.len() == 1)
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
        let quiet = !self.held && !self.asking && !self.lost && !self.broken;
        self.is_running() && quiet && self.sending.is_idle()
    }

    /// Everything that has to be renewed.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        let prefetched = self.prefetched.iter().map(|lease| lease.token);
        self.token.into_iter().chain(prefetched).chain(self.sending.tokens())
    }

    /// Leases of this worker that are gone.
    pub(super) fn lose(&mut self, gone: &[Token]) {
        // While a commit is under way its answer decides, not the renewal.
        let undecided = self.sending.undecided();
        self.lost |= self.token.is_some_and(|it| Some(it) != undecided && gone.contains(&it));
        self.prefetched.retain(|lease| !gone.contains(&lease.token));
    }

    /// Takes over what a handler has posted that has returned `Ok` or flushes.
    #[inline]
    pub(super) fn accept(&mut self, outgoing: &mut Outgoing) {
        if let Some(Running::Local(lane, place)) = &self.running {
            self.running = Some(Running::Apart(self.local[*lane].at(place.clone()).to_vec()));
        }
        self.posted += mem::take(&mut outgoing.posted);
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
            LeaseOrder::AsPosted => (true, 0..self.origin.priority as usize),
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
        let last = if self.origin.priority == Priority::Low { low } else { normal };
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
        self.ended += 1;
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
        self.labels.die(label);
        let task = self.running_bytes().map(<[u8]>::to_vec).unwrap_or_default();
        self.dead.push(letter(task, failure));
        self.end_running();
    }

    /// The running task could not even be counted.
    #[cold]
    pub(super) fn die_uncounted(&mut self, failure: &Failure) {
        let label = self.labels.row(failure.label());
        self.die_running(label, failure);
    }

    /// A task has died of its bytes.
    fn die_unread(&mut self, task: Vec<u8>, failure: &Failure) {
        let label = self.labels.row(failure.label());
        self.labels.die(label);
        self.dead.push(letter(task, failure));
        self.ended += 1;
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
        self.labels.take();
        self.dead.clear();
        (self.posted, self.ended) = (0, 0);
    }

    /// Drops a lease that is gone.
    pub(super) fn abandon(&mut self) {
        self.forget();
        (self.token, self.held, self.lost) = (None, false, false);
    }

    /// Starts the lease again, one task at a time: a task that has failed had written under the lock
    /// what cannot be told apart any more from what others have written.
    pub(super) fn start_again(&mut self) {
        self.forget();
        self.one_by_one = true;
        self.open_roots();
    }

    /// Ends the lease as it stands. A task that runs goes on under a lease of its own.
    ///
    /// If tasks run exactly as they were posted, the roots that were not started go on under that lease,
    /// too: posted, they would come behind tasks that are newer.
    pub(super) fn cut(&mut self, batching: Batching) -> Option<Draft> {
        let token = self.token.take()?;
        let mut kept = self.running_bytes().map(Tasks::one).unwrap_or_default();
        let as_posted = batching.order() == LeaseOrder::AsPosted;
        if as_posted
            && self.phase == Phase::Going
            && let Err(error) = self.roots.hand_on(|task| kept.push(task))
        {
            self.die_malformed(&error);
        }
        let own = self.origin.priority as usize;
        // The rest of the lease must wait for what comes before it.
        self.one_by_one |= as_posted && self.local[..own].iter().any(|lane| !lane.is_empty());
        let like = Batch { tasks: Tasks::new(), ..self.origin };
        let (roots, local) = (mem::take(&mut self.roots), mem::take(&mut self.local));
        self.cuts += 1;
        let successor = (!kept.is_empty()).then(|| self.go_on_with(kept));
        let draft = Draft {
            token,
            successor,
            like,
            roots,
            local,
            posted: mem::take(&mut self.posted),
            labels: self.labels.take(),
            dead: mem::take(&mut self.dead),
        };
        (self.ended, self.held) = (0, false);
        Some(draft)
    }

    /// The lease under which these tasks go on, the running one first.
    fn go_on_with(&mut self, tasks: Tasks) -> Lease {
        self.origin.tasks = tasks.share();
        self.open_roots();
        if self.is_running() {
            self.running = self.roots.next().and_then(Result::ok).map(Running::Root);
        }
        let token = Token::random();
        self.token = Some(token);
        Lease { token, batch: self.origin.clone() }
    }
}
