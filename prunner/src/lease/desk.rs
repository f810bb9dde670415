//! What one worker has in hand: its lease, the tasks of it that were not started, what those that were
//! have done, and the commit that is under way.

use std::{
    collections::VecDeque,
    convert::Infallible,
    ops::Range,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use serde::{Serialize, de::DeserializeOwned};

use super::{Link, counts::Counts, worker::failed};
use crate::{
    broker::{
        Blob, Commit, Cursor, DeadLetter, Lease, Lock, Malformed, Read, Release, Tasks, Token,
    },
    codec::{self, Bytes},
    dict::SharedDict,
    engine::queue::Order,
    failure::{Cause, Failure, drop_quietly},
    task::{Labeled, Priority},
};

/// What decides how large a lease is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) order: Order,
    /// How many workers there are: what a worker gives back is cut into pieces for all of them.
    pub(crate) all_seats: usize,
}

/// At most so many tasks, and about so many bytes, are leased together.
const MOST_TASKS: usize = 512;
const MOST_BLOB_BYTES: usize = 256 << 10;

/// Which task of its lease a worker takes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    NewestFirst,
    OldestFirst,
    /// Oldest first, and there is no other worker: then it can be the oldest of all. Follow-ups belong
    /// behind what is queued, so they are left to the next leases.
    AsPosted,
}

impl Walk {
    fn of(sizes: Sizes) -> Self {
        match sizes.order {
            Order::Lifo => Self::NewestFirst,
            Order::Fifo if sizes.all_seats > 1 => Self::OldestFirst,
            Order::Fifo => Self::AsPosted,
        }
    }

    /// Into how many pieces a worker cuts what it posts: for everybody who might take one.
    fn pieces(sizes: Sizes) -> usize {
        match Self::of(sizes) {
            Self::NewestFirst | Self::OldestFirst => 2 * sizes.all_seats,
            // Pieces would stay pieces, down to leases of one task.
            Self::AsPosted => 1,
        }
    }

    /// How many leases a worker has or has asked for.
    fn in_flight(self) -> usize {
        match self {
            // One runs, one waits.
            Self::NewestFirst | Self::OldestFirst => 2,
            // What the first one posts may have to run before the second one.
            Self::AsPosted => 1,
        }
    }
}

/// The tasks of a worker. The worker locks it between two tasks, the keeper when there is something
/// to be done while a handler runs.
pub(crate) struct Desk<T> {
    pub(super) seat: u16,
    /// The number of this worker among those of all processes.
    pub(super) worker: usize,
    pub(super) sizes: Sizes,
    walk: Walk,
    state: Mutex<State<T>>,
    /// An answer has come, or the phase has changed.
    changed: Condvar,
    /// Others wait for tasks.
    pub(super) tasks_wanted: AtomicBool,
    /// Others wait for the dict's lock.
    pub(super) lock_wanted: AtomicBool,
    /// Set once the desk has its dict, whose home is this desk.
    dict: OnceLock<SharedDict>,
}

/// Whether the worker goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Going,
    /// The running handler finishes, nothing new starts.
    Draining,
    /// There is nothing left to do.
    Done,
}

pub(super) struct State<T> {
    pub(super) phase: Phase,
    /// The lease, and what the broker believes to be in it.
    pub(super) token: Option<Token>,
    origin: Blob,
    /// Whether the lease is gone: what it has done so far counts for nothing.
    pub(super) lost: bool,
    /// Its tasks that were not started yet.
    roots: Roots,
    /// Follow-ups, by priority.
    local: [VecDeque<T>; 3],
    /// The task that runs.
    running: Option<Running>,
    /// Storage of the last task that ran.
    spare: Vec<u8>,
    /// What those that have ended have done, and nobody knows yet.
    pub(super) counts: Counts,
    posted: u64,
    dead: Vec<DeadLetter>,
    /// How many have ended since the last commit.
    pub(super) ended: u64,
    /// How many tasks have been started, ever: tells the keeper one handler from the next.
    pub(super) started: u64,
    /// Whether the lease holds the dict's lock.
    pub(super) held: bool,
    /// Whether it has got it since the worker looked at the clock: waiting for it is no work.
    pub(super) waited: bool,
    /// Whether tasks run by themselves, without their follow-ups: the lease ends after each. It may be
    /// a suspect; or a task that failed had written under the lock; or what was posted comes first.
    one_by_one: bool,
    /// Leases that have come and were not started, and how many more were asked for.
    stash: VecDeque<Lease>,
    asked: usize,
    pub(super) under_way: Option<Commit>,
    /// Whether the running handler waits for an answer to what it has asked on behalf of the lease.
    pub(super) asking: bool,
    pub(super) lock_answer: Option<Lock>,
    pub(super) read_answer: Option<Read>,
}

/// The task that runs, as bytes: it may have to go on while the rest of its lease is given back.
enum Running {
    /// One of the roots, at this place.
    Root(Range<usize>),
    /// A follow-up.
    Local(Vec<u8>),
}

/// The tasks of a lease, which stay where they came: how far the worker has come with them.
#[derive(Default)]
struct Roots {
    tasks: Tasks,
    cursor: Cursor,
}

impl Roots {
    fn of(tasks: &Tasks) -> Self {
        Self { tasks: tasks.clone(), cursor: Cursor::begin(tasks) }
    }

    fn next(&mut self) -> Option<Result<Range<usize>, Malformed>> {
        self.cursor.next(&self.tasks)
    }

    /// Leaves out those that follow. The one that runs stays.
    fn close(&mut self) {
        self.cursor = Cursor::default();
    }
}

/// What a worker takes to run.
pub(super) enum Taken<T> {
    Task(T),
    /// The lease has nothing more that may start.
    Nothing,
}

impl<T> Desk<T> {
    pub(crate) fn new(seat: u16, worker: usize, sizes: Sizes) -> Self {
        Self {
            seat,
            worker,
            sizes,
            walk: Walk::of(sizes),
            state: Mutex::new(State {
                phase: Phase::Going,
                token: None,
                origin: Blob::default(),
                lost: false,
                roots: Roots::default(),
                local: Default::default(),
                running: None,
                spare: Vec::new(),
                counts: Counts::default(),
                posted: 0,
                dead: Vec::new(),
                ended: 0,
                started: 0,
                held: false,
                waited: false,
                one_by_one: false,
                stash: VecDeque::new(),
                asked: 0,
                under_way: None,
                asking: false,
                lock_answer: None,
                read_answer: None,
            }),
            changed: Condvar::new(),
            tasks_wanted: AtomicBool::new(false),
            lock_wanted: AtomicBool::new(false),
            dict: OnceLock::new(),
        }
    }

    /// The number of its worker.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    /// Gives the desk the dict whose home it is.
    pub(crate) fn set_dict(&self, dict: SharedDict) {
        let set = self.dict.set(dict);
        debug_assert!(set.is_ok(), "a desk has one dict");
    }

    pub(crate) fn dict(&self) -> &SharedDict {
        self.dict.get().expect("set before anybody works")
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock()
    }

    /// Waits until something has changed.
    pub(super) fn wait(&self, state: &mut MutexGuard<'_, State<T>>) {
        self.changed.wait(state);
    }

    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits until no commit is under way.
    pub(super) fn wait_for_commit(&self, state: &mut MutexGuard<'_, State<T>>) {
        while state.under_way.is_some() {
            self.wait(state);
        }
    }

    /// Forgets that others wait: what they wait for is on its way to them.
    pub(super) fn satisfy(&self) {
        self.tasks_wanted.store(false, Ordering::Relaxed);
        self.lock_wanted.store(false, Ordering::Relaxed);
    }

    /// Waits for a lease and takes it up, unless there is one that goes on; false when there will be
    /// none.
    pub(super) fn take_lease(&self, link: &dyn Link) -> bool {
        let mut state = self.lock();
        if state.token.is_some() && state.one_by_one {
            self.put_back(&mut state, link);
        }
        if state.token.is_some() {
            return true;
        }
        loop {
            if state.phase != Phase::Going {
                return false;
            }
            if let Some(lease) = state.stash.pop_front() {
                state.take_up(lease);
                return true;
            }
            let want = state.want(self.walk.in_flight());
            if !want.is_empty() {
                link.step(self.seat, None, &want);
            }
            self.wait(&mut state);
        }
    }

    /// Gives a lease back of which nothing was started since its commit: it is then the next one, behind
    /// what is of a higher priority.
    fn put_back(&self, state: &mut MutexGuard<'_, State<T>>, link: &dyn Link) {
        // Before that nobody knows it.
        self.wait_for_commit(state);
        if let Some(token) = state.token
            && !state.lost
        {
            link.release(self.seat, token, Release::Shutdown);
        }
        state.abandon(self.dict());
    }
}

impl<T> State<T> {
    /// Makes tokens for as many leases as are missing to have `leases` in all.
    fn want(&mut self, leases: usize) -> Vec<Token> {
        let there = self.stash.len() + self.asked + usize::from(self.token.is_some());
        let missing = if self.phase == Phase::Going { leases.saturating_sub(there) } else { 0 };
        self.asked += missing;
        (0..missing).map(|_| Token::random()).collect()
    }

    /// A lease that was asked for has come.
    pub(super) fn receive(&mut self, lease: Lease) {
        self.asked = self.asked.saturating_sub(1);
        self.stash.push_back(lease);
    }

    /// Whether leases have come and were not started.
    pub(super) fn has_stash(&self) -> bool {
        !self.stash.is_empty()
    }

    /// Takes back what has come and was not started.
    pub(super) fn empty_stash(&mut self) -> impl Iterator<Item = Token> {
        std::mem::take(&mut self.stash).into_iter().map(|lease| lease.token)
    }

    fn take_up(&mut self, lease: Lease) {
        self.token = Some(lease.token);
        self.origin = lease.blob;
        (self.lost, self.one_by_one, self.held) = (false, self.origin.suspect, false);
        self.open_roots();
    }

    fn open_roots(&mut self) {
        self.roots = Roots::of(&self.origin.tasks);
    }

    /// Whether the lease must end although there is something to do.
    pub(super) fn must_end(&self) -> bool {
        self.phase != Phase::Going || (self.one_by_one && self.ended > 0)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.origin.suspect
    }

    /// Whether there is something that others could run.
    pub(super) fn has_surplus(&self) -> bool {
        !self.roots.cursor.is_at_end() || self.local.iter().any(|lane| !lane.is_empty())
    }

    /// Whether a handler runs.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Everything that has to be renewed.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        let keep = self.under_way.iter().flat_map(|it| {
            // The broker knows one of the two.
            [Some(it.token), it.keep.as_ref().map(|keep| keep.token)].into_iter().flatten()
        });
        self.token.into_iter().chain(self.stash.iter().map(|lease| lease.token)).chain(keep)
    }

    /// Leases of this worker that are gone.
    pub(super) fn lose(&mut self, gone: &[Token]) {
        // While a commit is under way its answer tells, not the renewal.
        let under_way = self.under_way.as_ref().and_then(|it| it.keep.as_ref());
        let undecided = under_way.map(|keep| keep.token);
        self.lost |= self.token.is_some_and(|it| Some(it) != undecided && gone.contains(&it));
        self.stash.retain(|lease| !gone.contains(&lease.token));
    }

    /// Takes over the posts of a handler that has returned `Ok` or flushes.
    pub(super) fn accept(&mut self, priority: Priority, task: T) {
        self.local[priority as usize].push_back(task);
        self.posted += 1;
    }

    /// The running task has ended.
    pub(super) fn end_running(&mut self) {
        self.ended += 1;
        if let Some(Running::Local(bytes)) = self.running.take() {
            self.spare = bytes;
        }
    }

    /// The bytes of the running task.
    fn running_bytes(&self) -> Option<&[u8]> {
        Some(match self.running.as_ref()? {
            Running::Root(place) => self.roots.tasks.at(place.clone()),
            Running::Local(bytes) => bytes,
        })
    }

    /// The running task has died.
    pub(super) fn die_running(&mut self, failure: &Failure) {
        let task = self.running_bytes().map(<[u8]>::to_vec).unwrap_or_default();
        self.counts.die();
        self.bury(task, failure);
        self.end_running();
    }

    /// The running task could not even be counted.
    #[cold]
    pub(super) fn die_nameless(&mut self, failure: &Failure) {
        let task = self.running_bytes().map(<[u8]>::to_vec).unwrap_or_default();
        self.counts.dead_on_arrival(failure.label());
        self.bury(task, failure);
        self.end_running();
    }

    fn bury(&mut self, task: Vec<u8>, failure: &Failure) {
        // A failure is made of texts and numbers, which can always be written.
        let report = codec::to_bytes(failure).unwrap_or_default();
        self.dead.push(DeadLetter { task: Bytes(task), report: Bytes(report) });
    }

    /// Takes out the roots that were not started.
    fn hand_on_roots(&mut self, mut to: impl FnMut(&[u8])) {
        let mut malformed = None;
        while let Some(place) = self.roots.next() {
            match place {
                Ok(place) => to(self.roots.tasks.at(place)),
                Err(error) => malformed = Some(error),
            }
        }
        if let Some(error) = malformed {
            self.die_unread(Vec::new(), &error.to_string());
        }
    }

    /// A task whose bytes do not say what it is.
    fn die_unread(&mut self, task: Vec<u8>, why: &str) {
        let failure = Failure::new("a task that cannot be read", None, Cause::text(why), 0);
        self.counts.dead_on_arrival(failure.label());
        self.bury(task, &failure);
        self.ended += 1;
    }

    /// Drops everything that the lease has done and not committed.
    fn forget(&mut self) {
        for lane in &mut self.local {
            lane.drain(..).for_each(drop_quietly);
        }
        self.roots.close();
        self.running = None;
        self.counts.take();
        self.dead.clear();
        (self.posted, self.ended) = (0, 0);
    }

    /// Drops a lease that is gone.
    pub(super) fn abandon(&mut self, dict: &SharedDict) {
        self.forget();
        dict.forget();
        (self.token, self.held, self.lost) = (None, false, false);
    }

    /// Starts the lease again, one task at a time: a task that has failed had written under the lock
    /// what cannot be told apart any more from what others have written.
    pub(super) fn start_again(&mut self, dict: &SharedDict) {
        self.forget();
        dict.forget();
        self.one_by_one = true;
        self.open_roots();
    }
}

impl<T: DeserializeOwned> State<T> {
    /// Reads a root, which then is the running task; none if it cannot be read.
    fn open(&mut self, place: Result<Range<usize>, Malformed>) -> Option<T> {
        let bytes = match place {
            Ok(place) => {
                self.running = Some(Running::Root(place.clone()));
                self.roots.tasks.at(place)
            }
            Err(error) => {
                self.die_unread(Vec::new(), &error.to_string());
                return None;
            }
        };
        match codec::decode(bytes) {
            Ok(task) => Some(task),
            Err(error) => {
                let bytes = bytes.to_vec();
                self.running = None;
                self.die_unread(bytes, &error.to_string());
                None
            }
        }
    }
}

impl<T: Labeled + Serialize + DeserializeOwned> Desk<T> {
    /// Takes the next task to run.
    pub(super) fn take(&self, state: &mut State<T>) -> Taken<T> {
        let [high, normal, low] =
            [Priority::High, Priority::Normal, Priority::Low].map(|it| it as usize);
        loop {
            let oldest_first = self.walk != Walk::NewestFirst;
            let of = |lane: &mut VecDeque<T>| {
                if oldest_first { lane.pop_front() } else { lane.pop_back() }
            };
            let mut task = match self.walk {
                Walk::NewestFirst => {
                    of(&mut state.local[high]).or_else(|| of(&mut state.local[normal]))
                }
                Walk::OldestFirst => of(&mut state.local[high]),
                Walk::AsPosted => {
                    // Of these nothing is queued.
                    let before_roots = state.origin.priority as usize;
                    state.local[..before_roots].iter_mut().find_map(of)
                }
            };
            if task.is_none()
                && let Some(place) = state.roots.next()
            {
                let Some(task) = state.open(place) else { continue };
                return Taken::Task(task);
            }
            if task.is_none() && self.walk == Walk::AsPosted {
                return Taken::Nothing;
            }
            if task.is_none() {
                task = of(&mut state.local[normal]);
            }
            // Others may have something of a higher priority.
            if task.is_none() && state.origin.priority == Priority::Low {
                task = of(&mut state.local[low]);
            }
            let Some(task) = task else { return Taken::Nothing };
            let mut bytes = std::mem::take(&mut state.spare);
            bytes.clear();
            match codec::encode(&task, &mut bytes) {
                Ok(()) => {
                    state.running = Some(Running::Local(bytes));
                    return Taken::Task(task);
                }
                Err(error) => self.die_unsent(state, task, &error.to_string()),
            }
        }
    }

    /// A task that cannot be written as bytes: nobody could take over from this worker.
    #[cold]
    fn die_unsent(&self, state: &mut State<T>, task: T, why: &str) {
        let failure = failed(&task, Cause::text(why), self.worker);
        state.counts.dead_on_arrival(failure.label());
        state.bury(Vec::new(), &failure);
        state.ended += 1;
        drop_quietly(task);
    }

    /// Ends the lease as it stands and sends the commit. A task that runs goes on under a lease of its
    /// own; it must not hold the dict's lock, nor wait for it. No commit may be under way.
    ///
    /// If tasks run exactly as they were posted, the roots that were not started go on under that lease,
    /// too: posted, they would come behind tasks that are newer.
    ///
    /// Returns false if the dict is broken.
    pub(super) fn cut(&self, state: &mut State<T>, link: &dyn Link) -> bool {
        debug_assert!(state.under_way.is_none(), "one commit at a time");
        let Some(token) = state.token else { return true };
        let writes = match self.dict().writes() {
            Ok(writes) => writes,
            Err(broken) => {
                link.broken(broken.to_string());
                return false;
            }
        };
        state.token = None;
        let mut kept = state.running_bytes().map(Tasks::one).unwrap_or_default();
        if self.walk == Walk::AsPosted && state.phase == Phase::Going {
            state.hand_on_roots(|task| kept.push(task));
        }
        let posts = self.pack(state);
        let keep = (!kept.is_empty()).then(|| {
            state.origin.tasks = kept.share();
            state.open_roots();
            if state.is_running() {
                let place = state.roots.next().and_then(Result::ok);
                state.running = place.map(Running::Root);
            }
            let token = Token::random();
            state.token = Some(token);
            Lease { token, blob: state.origin.clone() }
        });
        if self.walk == Walk::AsPosted {
            // The rest of the lease must wait for what comes before it.
            let own = state.origin.priority as usize;
            state.one_by_one |= posts.iter().any(|blob| (blob.priority as usize) < own);
        }
        let commit = Commit {
            token,
            keep,
            posts,
            writes,
            posted: std::mem::take(&mut state.posted),
            labels: state.counts.take(),
            dead: std::mem::take(&mut state.dead),
        };
        (state.ended, state.held) = (0, false);
        self.satisfy();
        let want = state.want(self.walk.in_flight());
        state.under_way = link.step(self.seat, Some(commit), &want);
        true
    }

    /// Everything that was not started, cut into pieces.
    fn pack(&self, state: &mut State<T>) -> Vec<Blob> {
        let mut blobs = Vec::new();
        let left = state.roots.cursor.left();
        // What has happened to them so far goes along: a suspect stays one.
        let like = Blob { tasks: Tasks::new(), ..state.origin };
        let mut packer = Packer::new(&mut blobs, self.sizes, like, left);
        state.hand_on_roots(|task| {
            packer.add(|tasks| {
                tasks.push(task);
                Ok::<(), Infallible>(())
            });
        });
        packer.finish();
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            let lane = std::mem::take(&mut state.local[priority as usize]);
            let like = Blob { priority, ..Blob::default() };
            let mut packer = Packer::new(&mut blobs, self.sizes, like, lane.len());
            let mut unsent = Vec::new();
            for task in lane {
                let added = packer.add(|tasks| tasks.push_with(|to| codec::encode(&task, to)));
                match added {
                    Some(error) => unsent.push((task, error)),
                    None => drop_quietly(task),
                }
            }
            packer.finish();
            for (task, error) in unsent {
                self.die_unsent(state, task, &error.to_string());
            }
        }
        blobs
    }
}

/// Puts tasks into blobs of a good size.
struct Packer<'a> {
    blobs: &'a mut Vec<Blob>,
    /// What they are like, but for their tasks.
    like: Blob,
    most: usize,
    tasks: Tasks,
}

impl<'a> Packer<'a> {
    fn new(blobs: &'a mut Vec<Blob>, sizes: Sizes, like: Blob, tasks: usize) -> Self {
        let most = tasks.div_ceil(Walk::pieces(sizes)).clamp(1, MOST_TASKS);
        Self { blobs, like, most, tasks: Tasks::new() }
    }

    /// Adds what `write` writes; returns its error.
    fn add<E>(&mut self, write: impl FnOnce(&mut Tasks) -> Result<(), E>) -> Option<E> {
        let error = write(&mut self.tasks).err();
        if self.tasks.len() >= self.most || self.tasks.size() >= MOST_BLOB_BYTES {
            self.seal();
        }
        error
    }

    fn seal(&mut self) {
        if !self.tasks.is_empty() {
            let tasks = std::mem::take(&mut self.tasks);
            self.blobs.push(Blob { tasks, ..self.like });
        }
    }

    fn finish(mut self) {
        self.seal();
    }
}
