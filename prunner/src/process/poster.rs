//! `begin` of a run on worker processes: it runs in the parent, and what it posts is published while
//! it goes on.

use std::{
    fmt,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use super::poll::Waker;
use crate::{
    broker::{
        Batch, Broker, Commit, Conflict, DeadLetter, Entry, LabelCount, Lease, Lock, Read, Release,
        Step, Tasks, Token, Write,
    },
    codec::{self, Bytes},
    dict::{Attempts, RemoteDict, SharedDict},
    failure::{Cause, Failure, FailureLog, drop_quietly},
    handler::{Context, Effects, ParallelTaskRunner, Publish},
    payload::Payload,
    queue::{Buffer, Posts},
    sync::Barrier,
    task::{Labeled, Priority},
};

/// Posts are published in batches of so many, or sooner if somebody has nothing to do.
const MOST_TASKS: usize = 256;
const MOST_BYTES: usize = 256 << 10;

/// Somebody who has nothing to do gets what there is, but not more often than this: a commit costs some
/// tens of microseconds, and would carry a few small tasks each time.
const EAGERNESS: Duration = Duration::from_micros(100);

/// How long to wait for the dict's lock before looking again.
const PATIENCE: Duration = Duration::from_secs(1);

/// A poster that is no worker: it holds a lease of its own, so the run cannot end before it does, and
/// publishes by commits that keep that lease.
///
/// No code of the program runs while `state` is locked, nor on the thread of the supervisor: it may take
/// any time.
pub(super) struct Poster {
    broker: Arc<dyn Broker>,
    waker: Arc<Waker>,
    payload: Payload,
    /// Whether workers have nothing to do.
    has_idle: AtomicBool,
    /// Why the run has failed: then nothing waits any more.
    failed: OnceLock<String>,
    log: Arc<FailureLog>,
    /// Whether `begin` has panicked because the run has failed.
    cut_short: AtomicBool,
    dict: OnceLock<SharedDict>,
    /// The lease that keeps the run open, to be renewed; `None` when it has ended.
    token: Mutex<Option<Token>>,
    state: Mutex<Posted>,
}

struct Posted {
    token: Token,
    over: bool,
    /// Whether `begin` is about to commit, and only it may.
    busy: bool,
    /// By priority.
    tasks: [Tasks; 3],
    batches: Vec<Batch>,
    /// When somebody who has nothing to do may be given something next.
    due: Instant,
    posted: u64,
    dead: Vec<DeadLetter>,
    labels: Vec<LabelCount>,
    /// A commit that has to wait for the dict's lock to be free.
    commit: Option<Commit>,
    /// Whether it holds the dict's lock.
    held: bool,
    /// Why the dict cannot be made whole.
    broken: Option<String>,
}

impl Poster {
    /// `token` is the lease that keeps the run open.
    pub(super) fn new(
        broker: Arc<dyn Broker>,
        token: Token,
        waker: Arc<Waker>,
        payload: Payload,
    ) -> Arc<Self> {
        let poster = Arc::new(Self {
            broker,
            waker,
            payload,
            has_idle: AtomicBool::new(true),
            failed: OnceLock::new(),
            log: Arc::default(),
            cut_short: AtomicBool::new(false),
            dict: OnceLock::new(),
            token: Mutex::new(Some(token)),
            state: Mutex::new(Posted {
                token,
                over: false,
                busy: false,
                tasks: Default::default(),
                batches: Vec::new(),
                due: Instant::now(),
                posted: 0,
                dead: Vec::new(),
                labels: Vec::new(),
                commit: None,
                held: false,
                broken: None,
            }),
        });
        let home = PosterDict(Arc::downgrade(&poster));
        let _ = poster.dict.set(SharedDict::at(Arc::new(home)));
        poster
    }

    /// What notes all dead tasks of the run.
    pub(super) fn log(&self) -> &Arc<FailureLog> {
        &self.log
    }

    fn dict(&self) -> &SharedDict {
        self.dict.get().expect("set when it was made")
    }

    /// Runs `begin`.
    pub(super) fn run<R: ParallelTaskRunner>(self: &Arc<Self>, runner: &R) -> Result<(), Cause>
    where
        R::Task: Serialize,
    {
        let attempts = Attempts::default();
        let merges = self.dict().join(&attempts, Barrier::detect());
        let dict = self.dict().of_this_thread();
        let mut buffer = Buffer::new();
        let mut effects = Effects::new(0, dict, buffer.open(), merges);
        (effects.travels, effects.eager) = (true, true);
        effects.posts.narrow();
        let mut office = Office { poster: self, buffer, scratch: Vec::new() };
        let mut cx = Context { effects: &mut effects, publish: &mut office };
        let result = Cause::of(|| runner.begin(&mut cx));
        let result = result.and_then(|()| effects.commit_pending());
        match &result {
            Ok(()) => {
                effects.merges.end_attempt();
                office.collect(&mut effects.posts);
            }
            Err(_) => {
                effects.discard();
                effects.merges.end_attempt();
            }
        }
        self.end(result.is_ok());
        // What has failed is the run, which says why.
        if self.cut_short.load(Ordering::Relaxed) { Ok(()) } else { result }
    }

    /// Gives up the lease: nothing more is posted from outside.
    fn end(&self, commit: bool) {
        let mut state = self.state.lock();
        state.over = true;
        if commit {
            self.publish_all(&mut state, true);
        }
        *self.token.lock() = None;
        let _ = self.broker.release(state.token, Release::Unstarted);
        drop(state);
        self.waker.wake();
    }

    /// Says that the run has failed, and why: `begin` need not wait for anything any more.
    pub(super) fn fail(&self, why: &str) {
        let _ = self.failed.set(why.to_string());
    }

    /// Ends `begin` if the run has failed.
    fn check(&self) {
        if let Some(why) = self.failed.get() {
            self.cut_short.store(true, Ordering::Relaxed);
            panic!("the run has failed: {why}");
        }
    }

    /// Says whether workers have nothing to do; then what was posted so far is published, also while
    /// `begin` does something else. True if it is too early for that.
    ///
    /// If `begin` has merged or written something that is not committed, it has to publish by itself: to
    /// make bytes of that is for the program's code.
    pub(super) fn set_has_idle(&self, has_idle: bool) -> bool {
        self.has_idle.store(has_idle, Ordering::Relaxed);
        if !has_idle {
            return false;
        }
        // If `begin` posts just now, it may have looked before it was said: so this looks again.
        let Some(mut state) = self.state.try_lock() else { return true };
        let may = !state.over && !state.busy && !state.held && state.commit.is_none();
        if may && state.has_posts() && self.dict().is_clean() {
            if Instant::now() < state.due {
                return true;
            }
            let commit = state.commit(Vec::new(), false);
            self.commit(&mut state, commit);
        }
        false
    }

    /// Keeps the lease.
    pub(super) fn renew(&self) {
        if let Some(token) = *self.token.lock() {
            let _ = self.broker.renew(&[token]);
        }
    }

    /// Why the dict cannot be made whole, if it cannot.
    pub(super) fn take_broken(&self) -> Option<String> {
        self.state.try_lock()?.broken.take()
    }

    /// Publishes everything, however long it takes. To be called by `begin`.
    fn publish_all(&self, state: &mut MutexGuard<'_, Posted>, last: bool) {
        self.publish_rest(state);
        while !self.publish(state, last) {
            self.wait(state);
        }
    }

    /// Publishes what could not be committed last time.
    fn publish_rest(&self, state: &mut MutexGuard<'_, Posted>) {
        while state.commit.is_some() && !self.publish(state, false) {
            self.wait(state);
        }
    }

    /// Waits until something has changed; others may publish meanwhile.
    fn wait(&self, state: &mut MutexGuard<'_, Posted>) {
        self.waker.wake();
        let seen = self.seen();
        MutexGuard::unlocked(state, || _ = self.broker.watch(seen, PATIENCE));
    }

    fn seen(&self) -> u64 {
        self.broker.watch(0, Duration::ZERO).map_or(0, |it| it.seen)
    }

    /// Commits what there is, or what could not be committed last time. False if it cannot be done now:
    /// somebody who holds the dict's lock has read what it writes. To be called by `begin`.
    fn publish(&self, state: &mut MutexGuard<'_, Posted>, last: bool) -> bool {
        if state.broken.is_some() || self.failed.get().is_some() {
            // Nobody will run it.
            state.commit = None;
            return true;
        }
        state.busy = true;
        let done = self.try_commit(state, last);
        state.busy = false;
        done.unwrap_or_else(|broken| {
            state.broken = Some(broken);
            true
        })
    }

    fn try_commit(&self, state: &mut MutexGuard<'_, Posted>, last: bool) -> Result<bool, String> {
        let mut commit = match state.commit.take() {
            Some(commit) => commit,
            None => {
                let writes = MutexGuard::unlocked(state, || self.dict().writes());
                state.commit(writes.map_err(|broken| broken.to_string())?, last)
            }
        };
        loop {
            let conflict = match self.commit(state, commit) {
                None => return Ok(state.commit.is_none()),
                Some((refused, conflict)) => {
                    commit = refused;
                    conflict
                }
            };
            let writes = MutexGuard::unlocked(state, || self.dict().rebase(conflict.entries));
            commit.writes = writes.map_err(|broken| broken.to_string())?;
        }
    }

    /// Commits; gives the commit back if it is a conflict. If it has to wait for the dict's lock, or cannot
    /// be done at all, that is noted.
    fn commit(&self, state: &mut Posted, commit: Commit) -> Option<(Commit, Conflict)> {
        match self.broker.step(Some(&commit), &[]) {
            Ok(Step::Conflict(conflict)) if conflict.entries.is_empty() => {
                state.commit = Some(commit);
                return None;
            }
            Ok(Step::Conflict(conflict)) => return Some((commit, conflict)),
            Ok(Step::Lost) => state.broken = Some(LOST.into()),
            Err(error) => state.broken = Some(error.to_string()),
            Ok(_) => {
                if state.busy {
                    self.dict().committed();
                }
                state.held = false;
                state.due = Instant::now() + EAGERNESS;
                if let Some(keep) = commit.successor {
                    state.token = keep.token;
                    *self.token.lock() = Some(keep.token);
                }
                self.waker.wake();
            }
        }
        None
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("begin");
        text.field("has_idle", &self.has_idle).field("failed", &self.failed);
        match self.state.try_lock() {
            None => text.field("state", &"locked"),
            Some(state) => text
                .field("token", &state.token)
                .field("over", &state.over)
                .field("busy", &state.busy)
                .field("has posts", &state.has_posts())
                .field("has a commit that waits", &state.commit.is_some())
                .field("holds the lock", &state.held)
                .field("broken", &state.broken),
        };
        text.finish_non_exhaustive()
    }
}
impl Posted {
    fn has_posts(&self) -> bool {
        self.commit.is_some()
            || !self.batches.is_empty()
            || self.tasks.iter().any(|tasks| !tasks.is_empty())
    }

    /// A commit of everything that was posted.
    fn commit(&mut self, writes: Vec<Write>, last: bool) -> Commit {
        self.seal();
        let keep = || Lease { token: Token::random(), batch: Batch::default() };
        Commit {
            token: self.token,
            successor: (!last).then(keep),
            posts: std::mem::take(&mut self.batches),
            writes,
            posted: std::mem::take(&mut self.posted),
            labels: std::mem::take(&mut self.labels),
            dead: std::mem::take(&mut self.dead),
        }
    }

    /// Makes batches of what was posted.
    fn seal(&mut self) {
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            let tasks = std::mem::take(&mut self.tasks[priority as usize]);
            if !tasks.is_empty() {
                self.batches.push(Batch { priority, tasks: tasks.share(), ..Batch::default() });
            }
        }
    }

    /// Takes a task, as bytes.
    fn post(&mut self, priority: Priority, task: &[u8]) {
        self.posted += 1;
        let tasks = &mut self.tasks[priority as usize];
        tasks.push(task);
        if tasks.len() >= MOST_TASKS || tasks.size() >= MOST_BYTES {
            let tasks = std::mem::take(tasks).share();
            self.batches.push(Batch { priority, tasks, ..Batch::default() });
        }
    }

    /// Takes a task that cannot be run by anybody.
    #[cold]
    fn bury(&mut self, failure: &Failure) {
        self.posted += 1;
        let label = failure.label().to_string();
        self.labels.push(LabelCount { label, dead: 1, ..LabelCount::default() });
        let report = Bytes(codec::to_bytes(failure).unwrap_or_default());
        self.dead.push(DeadLetter { report, ..DeadLetter::default() });
    }
}

/// Where the posts of `begin` go.
struct Office<'a, T> {
    poster: &'a Arc<Poster>,
    buffer: Buffer<T>,
    /// A task as bytes.
    scratch: Vec<u8>,
}

impl<T: Labeled + Serialize> Office<'_, T> {
    fn collect(&mut self, posts: &mut Posts<T>) {
        let Self { poster, buffer, scratch } = self;
        buffer.drain(posts, |priority, task| {
            scratch.clear();
            match poster.payload.write(&task, scratch) {
                Ok(()) => poster.state.lock().post(priority, scratch),
                Err(why) => {
                    let failure = Failure::of(&task, why, 0);
                    poster.log.add("task died as it was posted", &failure);
                    poster.state.lock().bury(&failure);
                }
            }
            drop_quietly(task);
        });
    }
}

impl<T: Labeled + Serialize> Publish<T> for Office<'_, T> {
    fn publish(&mut self, posts: &mut Posts<T>) {
        self.collect(posts);
        let mut state = self.poster.state.lock();
        let has_idle = self.poster.has_idle.load(Ordering::Relaxed);
        let due = !state.batches.is_empty() || (has_idle && Instant::now() >= state.due);
        // A commit would let the lock go.
        if due && !self.poster.dict().is_lock_held() {
            self.poster.publish_all(&mut state, false);
        }
    }

    fn make_room(&mut self, posts: &mut Posts<T>) {
        self.buffer.make_room(posts);
    }
}

/// The dict of `begin`.
struct PosterDict(Weak<Poster>);

impl PosterDict {
    fn outside(&self) -> Arc<Poster> {
        self.0.upgrade().expect("begin runs as long as its run")
    }
}

/// The text of the panic in `begin` if the lock cannot be had.
const LOST: &str = "begin has lost its lease: the program was stopped for too long";

impl RemoteDict for PosterDict {
    fn lock(&self) {
        let poster = self.outside();
        let mut state = poster.state.lock();
        poster.publish_rest(&mut state);
        // Nobody else publishes meanwhile: the lock is asked for on behalf of this very lease.
        state.busy = true;
        let locked = loop {
            if state.held {
                break Ok(Lock::Held);
            }
            match poster.broker.lock(state.token) {
                Ok(Lock::Busy) if poster.failed.get().is_none() => poster.wait(&mut state),
                Ok(Lock::Held) => state.held = true,
                other => break other,
            }
        };
        state.busy = false;
        drop(state);
        poster.check();
        match locked {
            Ok(Lock::Held) => {}
            Ok(Lock::Busy | Lock::Lost) => panic!("{LOST}"),
            Err(error) => panic!("{error}"),
        }
    }

    fn most_bytes(&self) -> usize {
        self.outside().payload.most()
    }

    fn read(&self, key: &str, known: u64) -> Option<Entry> {
        let poster = self.outside();
        let mut state = poster.state.lock();
        poster.publish_rest(&mut state);
        let read = poster.broker.read(state.token, key, known);
        drop(state);
        poster.check();
        match read {
            Ok(Read::Entry(entry)) => Some(entry),
            Ok(Read::Unchanged) => None,
            Ok(Read::Lost) => panic!("{LOST}"),
            Err(error) => panic!("{error}"),
        }
    }
}

impl fmt::Debug for PosterDict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PosterDict").finish_non_exhaustive()
    }
}
