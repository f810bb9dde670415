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
        Blob, Broker, Commit, DeadLetter, Entry, LabelCount, Lease, Lock, Read, Release, Step,
        Tasks, Token, Write,
    },
    codec::{self, Bytes, CodecError},
    context::Context,
    dict::{Attempts, Home, SharedDict},
    effects::{Effects, Publish},
    engine::queue::{Buffer, Posts},
    failure::{Cause, FailureLog},
    lease::failed,
    runner::ParallelTaskRunner,
    sync::Barrier,
    task::{Labeled, Priority},
};

/// Posts are published in blobs of so many, or sooner if somebody has nothing to do.
const MOST_TASKS: usize = 256;
const MOST_BYTES: usize = 256 << 10;

/// Somebody who has nothing to do gets what there is, but not more often than this: a commit costs some
/// tens of microseconds, and would carry a few small tasks each time.
const EAGERNESS: Duration = Duration::from_micros(100);

/// How long to wait for the dict's lock before looking again.
const PATIENCE: Duration = Duration::from_secs(1);

/// A poster that is no worker: it holds a lease of its own, so the run cannot end before it does, and
/// publishes by commits that keep that lease.
pub(super) struct Outside {
    broker: Arc<dyn Broker>,
    waker: Arc<Waker>,
    /// Whether workers have nothing to do.
    hungry: AtomicBool,
    dict: OnceLock<SharedDict>,
    state: Mutex<Posted>,
}

struct Posted {
    token: Token,
    over: bool,
    /// By priority.
    tasks: [Tasks; 3],
    blobs: Vec<Blob>,
    /// When somebody who has nothing to do may be given something next.
    due: Instant,
    posted: u64,
    dead: Vec<DeadLetter>,
    labels: Vec<LabelCount>,
    log: Arc<FailureLog>,
    /// A commit that has to wait for the dict's lock to be free.
    commit: Option<Commit>,
    /// Whether it holds the dict's lock, or waits for it.
    held: bool,
    asking: bool,
    /// Why the dict cannot be made whole.
    broken: Option<String>,
}

impl Outside {
    /// `token` is the lease that keeps the run open.
    pub(super) fn new(
        broker: Arc<dyn Broker>,
        token: Token,
        waker: Arc<Waker>,
        log: Arc<FailureLog>,
    ) -> Arc<Self> {
        let outside = Arc::new(Self {
            broker,
            waker,
            hungry: AtomicBool::new(true),
            dict: OnceLock::new(),
            state: Mutex::new(Posted {
                token,
                over: false,
                tasks: Default::default(),
                blobs: Vec::new(),
                due: Instant::now(),
                posted: 0,
                dead: Vec::new(),
                labels: Vec::new(),
                log,
                commit: None,
                held: false,
                asking: false,
                broken: None,
            }),
        });
        let home = OutsideHome(Arc::downgrade(&outside));
        let _ = outside.dict.set(SharedDict::at(Arc::new(home)));
        outside
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
        let mut office = Office { outside: self, buffer };
        let mut cx = Context { effects: &mut effects, publish: &mut office };
        let result = Cause::of(|| runner.begin(&mut cx));
        match &result {
            Ok(()) => {
                effects.merges.settle();
                effects.merges.end_attempt();
                office.collect(&mut effects.posts);
            }
            Err(_) => {
                effects.discard();
                effects.merges.end_attempt();
            }
        }
        self.end(result.is_ok());
        result
    }

    /// Gives up the lease: nothing more is posted from outside.
    fn end(&self, commit: bool) {
        let mut state = self.state.lock();
        state.over = true;
        if commit {
            self.publish_all(&mut state, true);
        }
        let _ = self.broker.release(state.token, Release::Shutdown);
        drop(state);
        self.waker.wake();
    }

    /// Says whether workers have nothing to do; then what was posted so far is published, also while
    /// `begin` does something else. True if it is too early for that.
    pub(super) fn set_hungry(&self, hungry: bool) -> bool {
        self.hungry.store(hungry, Ordering::Relaxed);
        // If `begin` posts just now, it sees for itself.
        if hungry
            && let Some(mut state) = self.state.try_lock()
            && !state.over
            && state.has_posts()
            // `begin` may be in the middle of what it does under the lock.
            && !state.held
            && !state.asking
        {
            if Instant::now() < state.due {
                return true;
            }
            self.publish(&mut state, false);
        }
        false
    }

    /// Keeps the lease.
    pub(super) fn renew(&self) {
        // Whoever has it for long waits for the lock, not for the lease.
        if let Some(state) = self.state.try_lock()
            && !state.over
        {
            let _ = self.broker.renew(&[state.token]);
        }
    }

    /// Why the dict cannot be made whole, if it cannot.
    pub(super) fn take_broken(&self) -> Option<String> {
        self.state.lock().broken.take()
    }

    /// Publishes everything, however long it takes.
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
    /// somebody who holds the dict's lock has read what it writes.
    fn publish(&self, state: &mut Posted, last: bool) -> bool {
        if state.broken.is_some() {
            return true;
        }
        let mut commit = match state.commit.take() {
            Some(commit) => commit,
            None => match self.dict().writes() {
                Ok(writes) => state.commit(writes, last),
                Err(broken) => return state.fail(broken.to_string()),
            },
        };
        loop {
            match self.broker.step(Some(&commit), &[]) {
                Ok(Step::Conflict(conflict)) if conflict.entries.is_empty() => {
                    state.commit = Some(commit);
                    return false;
                }
                Ok(Step::Conflict(conflict)) => match self.dict().rebase(conflict.entries) {
                    Ok(writes) => commit.writes = writes,
                    Err(broken) => return state.fail(broken.to_string()),
                },
                Ok(Step::Lost) => return state.fail(LOST.into()),
                Ok(_) => break,
                Err(error) => return state.fail(error.to_string()),
            }
        }
        self.dict().committed();
        state.held = false;
        state.due = Instant::now() + EAGERNESS;
        if let Some(keep) = commit.keep {
            state.token = keep.token;
        }
        self.waker.wake();
        true
    }
}

impl Posted {
    fn has_posts(&self) -> bool {
        self.commit.is_some()
            || !self.blobs.is_empty()
            || self.tasks.iter().any(|tasks| !tasks.is_empty())
    }

    fn fail(&mut self, why: String) -> bool {
        self.broken = Some(why);
        true
    }

    /// A commit of everything that was posted.
    fn commit(&mut self, writes: Vec<Write>, last: bool) -> Commit {
        self.seal();
        let keep = || Lease { token: Token::random(), blob: Blob::default() };
        Commit {
            token: self.token,
            keep: (!last).then(keep),
            posts: std::mem::take(&mut self.blobs),
            writes,
            posted: std::mem::take(&mut self.posted),
            labels: std::mem::take(&mut self.labels),
            dead: std::mem::take(&mut self.dead),
        }
    }

    /// Makes blobs of what was posted.
    fn seal(&mut self) {
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            let tasks = std::mem::take(&mut self.tasks[priority as usize]);
            if !tasks.is_empty() {
                self.blobs.push(Blob { priority, tasks: tasks.share(), ..Blob::default() });
            }
        }
    }

    fn post<T: Labeled + Serialize>(&mut self, priority: Priority, task: &T) {
        self.posted += 1;
        let tasks = &mut self.tasks[priority as usize];
        match tasks.push_with(|to| codec::encode(task, to)) {
            Ok(()) if tasks.len() < MOST_TASKS && tasks.size() < MOST_BYTES => {}
            Ok(()) => {
                let tasks = std::mem::take(tasks).share();
                self.blobs.push(Blob { priority, tasks, ..Blob::default() });
            }
            Err(error) => self.bury(task, &error),
        }
    }

    /// A task that cannot be written as bytes cannot be run by anybody.
    #[cold]
    fn bury(&mut self, task: &impl Labeled, error: &CodecError) {
        let failure = failed(task, Cause::text(error), 0);
        self.log.add("task died as it was posted", &failure);
        let label = failure.label().to_string();
        self.labels.push(LabelCount { label, dead: 1, ..LabelCount::default() });
        let report = Bytes(codec::to_bytes(&failure).unwrap_or_default());
        self.dead.push(DeadLetter { task: Bytes::default(), report });
    }
}

/// Where the posts of `begin` go.
struct Office<'a, T> {
    outside: &'a Arc<Outside>,
    buffer: Buffer<T>,
}

impl<T: Labeled + Serialize> Office<'_, T> {
    fn collect(&mut self, posts: &mut Posts<T>) {
        let mut state = self.outside.state.lock();
        self.buffer.drain(posts, |priority, task| state.post(priority, &task));
    }
}

impl<T: Labeled + Serialize> Publish<T> for Office<'_, T> {
    fn publish(&mut self, posts: &mut Posts<T>) {
        self.collect(posts);
        let mut state = self.outside.state.lock();
        let hungry = self.outside.hungry.load(Ordering::Relaxed);
        let due = !state.blobs.is_empty() || (hungry && Instant::now() >= state.due);
        // A commit would let the lock go.
        if due && !self.outside.dict().is_kept() {
            self.outside.publish_all(&mut state, false);
        }
    }

    fn make_room(&mut self, posts: &mut Posts<T>) {
        self.buffer.make_room(posts);
    }
}

/// The dict of `begin`.
struct OutsideHome(Weak<Outside>);

impl OutsideHome {
    fn outside(&self) -> Arc<Outside> {
        self.0.upgrade().expect("begin runs as long as its run")
    }
}

/// What `begin` is told if the lock cannot be had.
const LOST: &str = "begin has lost its lease: the program was stopped for too long";

impl Home for OutsideHome {
    fn lock(&self) {
        let outside = self.outside();
        let mut state = outside.state.lock();
        outside.publish_rest(&mut state);
        // Nobody publishes meanwhile: the lock is asked for on behalf of this very lease.
        state.asking = true;
        let locked = loop {
            if state.held {
                break Ok(Lock::Held);
            }
            match outside.broker.lock(state.token) {
                Ok(Lock::Busy) => outside.wait(&mut state),
                Ok(Lock::Held) => state.held = true,
                other => break other,
            }
        };
        state.asking = false;
        drop(state);
        match locked {
            Ok(Lock::Held) => {}
            Ok(Lock::Busy | Lock::Lost) => panic!("{LOST}"),
            Err(error) => panic!("{error}"),
        }
    }

    fn read(&self, key: &str, known: u64) -> Option<Entry> {
        let outside = self.outside();
        let mut state = outside.state.lock();
        outside.publish_rest(&mut state);
        let read = outside.broker.read(state.token, key, known);
        drop(state);
        match read {
            Ok(Read::Entry(entry)) => Some(entry),
            Ok(Read::Unchanged) => None,
            Ok(Read::Lost) => panic!("{LOST}"),
            Err(error) => panic!("{error}"),
        }
    }
}

impl fmt::Debug for OutsideHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutsideHome").finish_non_exhaustive()
    }
}
