//! The contract of everything that is not threads in memory: who holds which tasks, what is true,
//! and when a run is over.
//!
//! A broker keeps tasks as bytes that it never decodes. A worker *leases* a [`Batch`] of them under a
//! [`Token`] of its own making, runs them, and [*commits*](Commit): in one step the lease ends, its
//! follow-ups are queued, its writes appear in the dict and its counts in the ledger. Whatever
//! happens to the worker before that step, nothing of it has happened, and the batch goes to somebody
//! else; whatever happens to it afterwards, everything has. A commit whose token is gone does nothing,
//! so a commit may always be sent again.
//!
//! Brokers keep neither threads nor sockets: `serve` puts a socket in front of any of them.
//! `conformance` (feature `testing`) is the suite that each of them must pass.
//!
//! A worker's part of a run of two tasks, the first of which posts a third:
//!
//! ```
//! use std::time::Duration;
//!
//! use prunner::broker::{
//!     Batch, Broker, Commit, DeadLetter, Encoded, Entry, KEPT_DEAD_LETTERS, LabelCount, Lease, Lock,
//!     MemoryBroker, Outcome, Read, Step, Tasks, Timing, Token, Status, Write,
//! };
//! use prunner::{Bytes, Order};
//!
//! let mut tasks = Tasks::one(b"first");
//! tasks.push(b"second");
//! let first = Batch { tasks, ..Batch::default() };
//! let broker = MemoryBroker::new(Duration::from_secs(30), Order::Lifo, vec![first]);
//!
//! // It makes the name of the lease and asks for it.
//! let token = Token::random();
//! let Step::Leased(leases, _) = broker.step(None, &[token])? else { panic!("a batch is queued") };
//! let [Lease { batch, .. }] = &leases[..] else { panic!("one lease for one token") };
//! assert_eq!(batch.tasks.len(), 2);
//! assert!(broker.renew(&[token])?.is_empty(), "no lease is gone");
//!
//! // It reads the dict under the lock, and commits what it has done.
//! assert_eq!(broker.lock(token)?, Lock::Held);
//! let Read::Entry(Entry { version, .. }) = broker.read(token, "sum", 0)? else { panic!("gone") };
//! let value = Encoded { type_name: "u64".into(), bytes: Bytes(vec![7]) };
//! let finished = LabelCount { label: "add".into(), finished: 2, ..LabelCount::default() };
//! assert_eq!(finished.times, Timing::default(), "nothing was measured");
//! let commit = Commit {
//!     posts: vec![Batch { tasks: Tasks::one(b"third"), ..Batch::default() }],
//!     posted: 1,
//!     writes: vec![Write { key: "sum".into(), version, value: Some(value) }],
//!     labels: vec![finished],
//!     ..Commit::new(token)
//! };
//! // In the same step it asks for more.
//! let next = Token::random();
//! assert!(matches!(broker.step(Some(&commit), &[next])?, Step::Leased(..)));
//! assert_eq!(broker.step(Some(&commit), &[])?, Step::Lost, "a commit counts once");
//!
//! // The third task dies, and that is the end.
//! let (task, report) = (Bytes(b"third".into()), Bytes(b"why".into()));
//! let letter = DeadLetter { task, report, interruptions: 0 };
//! let died = LabelCount { label: "add".into(), dead: 1, ..LabelCount::default() };
//! let commit = Commit { labels: vec![died], dead: vec![letter], ..Commit::new(next) };
//! assert_eq!(broker.step(Some(&commit), &[])?, Step::Done);
//! let Status { done, .. } = broker.watch(0, Duration::ZERO)?;
//! let Outcome { dead, entries, .. } = broker.outcome()?;
//! assert!(done && dead.len() <= KEPT_DEAD_LETTERS);
//! assert_eq!((entries[0].key.as_str(), entries[0].version), ("sum", 1));
//! # Ok::<_, prunner::broker::BrokerError>(())
//! ```
//!
//! A broker in front of another one, as all tests of faults are:
//!
//! ```
//! use std::time::Duration;
//!
//! use prunner::broker::{
//!     Broker, BrokerError, Commit, Conflict, Lock, MOST_CRASHES, MOST_INTERRUPTIONS, Outcome, Read,
//!     Release, Step, Token, Status,
//! };
//!
//! /// Says what goes wrong.
//! struct Loud<B>(B);
//!
//! impl<B: Broker> Broker for Loud<B> {
//!     fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
//!         let step = self.0.step(commit, want)?;
//!         match &step {
//!             Step::Lost => println!("the lease of a commit was gone"),
//!             Step::Conflict(Conflict { entries, .. }) => println!("{} conflicts", entries.len()),
//!             _ => {}
//!         }
//!         Ok(step)
//!     }
//!     fn lock(&self, token: Token) -> Result<Lock, BrokerError> {
//!         self.0.lock(token)
//!     }
//!     fn read(&self, token: Token, key: &str, known: u64) -> Result<Read, BrokerError> {
//!         match key {
//!             "" => Err(BrokerError::new("a key without a name")),
//!             key => self.0.read(token, key, known),
//!         }
//!     }
//!     fn renew(&self, tokens: &[Token]) -> Result<Vec<Token>, BrokerError> {
//!         self.0.renew(tokens)
//!     }
//!     fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
//!         match why {
//!             Release::Crashed => println!("{MOST_CRASHES} crashes make a task dead"),
//!             Release::Interrupted => println!("{MOST_INTERRUPTIONS} interruptions do, too"),
//!             Release::Unstarted => {}
//!         }
//!         self.0.release(token, why)
//!     }
//!     fn watch(&self, seen: u64, patience: Duration) -> Result<Status, BrokerError> {
//!         self.0.watch(seen, patience)
//!     }
//!     fn outcome(&self) -> Result<Outcome, BrokerError> {
//!         self.0.outcome()
//!     }
//!     fn describe(&self) -> String {
//!         format!("loud: {}", self.0.describe())
//!     }
//! }
//! ```

mod memory;
mod tasks;

pub use memory::{Clock, MemoryBroker, Monotonic};
pub(crate) use tasks::Cursor;
pub use tasks::{Malformed, Tasks};

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    process,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{codec::Bytes, task::Priority};

/// Who holds what, what is true, and when it is over.
///
/// All methods return at once, except [`watch`](Broker::watch).
pub trait Broker: Send + Sync {
    /// Ends a lease with `commit`, if there is one, and takes a batch for each token of `want`, as far
    /// as there are batches: both in one atomic step, in which the end is decided, too.
    ///
    /// A commit is applied whole or not at all, and then nothing is leased either: see
    /// [`Step::Lost`] and [`Step::Conflict`].
    ///
    /// A token of `want` under which a lease is out already is answered with that lease as it is, so
    /// that who has missed an answer may ask again. A token that is there twice counts once, and the
    /// token of `commit` not at all: the commit, sent again, would end the new lease.
    ///
    /// The first token of an unanswered `want` counts as one waiting worker until it is leased,
    /// [released](Broker::release) or asked for again, or until the [end](Step::Done).
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached or cannot write. Whether the commit was applied is then
    /// unknown; it may be sent again. Also when the commit [keeps](Commit::successor) its lease under a
    /// token that is in use: then nothing was done.
    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError>;

    /// Asks for the dict's lock on behalf of a lease. It is held until that lease ends, by a commit
    /// (also one that [keeps](Commit::successor) the lease) or otherwise.
    ///
    /// Who is answered [`Lock::Busy`] asks again; the lock is given in the order of the first
    /// questions. When it is free it belongs to the next one at once, who need not have asked again.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached.
    fn lock(&self, token: Token) -> Result<Lock, BrokerError>;

    /// Reads an entry of the dict on behalf of a lease that knows its version `known`, 0 for none:
    /// then the answer is always the entry. If that lease holds the lock, no other writes the entry
    /// until the lock is free again.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached.
    fn read(&self, token: Token, key: &str, known: u64) -> Result<Read, BrokerError>;

    /// Renews leases and returns those that are gone.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached.
    fn renew(&self, tokens: &[Token]) -> Result<Vec<Token>, BrokerError>;

    /// Gives a lease back without a commit: nothing of it has happened. Also withdraws a token that
    /// waits. Unknown tokens are no error.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached.
    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError>;

    /// Waits until something has changed since `seen`, at most for `patience`, and returns what
    /// workers want to know. With 0 for `seen` it returns at once.
    ///
    /// A change is whatever somebody may wait for: the first batch to be leased, a worker that waits or
    /// no longer does, a lock that is asked for or goes to another one, the end. Leases that have
    /// expired are noticed here, too, at the latest after `patience`.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached.
    fn watch(&self, seen: u64, patience: Duration) -> Result<Status, BrokerError>;

    /// Everything that has been committed.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached.
    fn outcome(&self) -> Result<Outcome, BrokerError>;

    /// Who holds what and who waits, as text: for people who look for the reason of a stall. Nothing
    /// unless it is implemented.
    fn describe(&self) -> String {
        String::new()
    }
}

/// The name of a lease: random, made by the worker that asks for it.
///
/// Not by the broker: one that numbers its leases gives a number out twice when it has lost its last
/// second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(pub u128);

impl Token {
    /// A new one, different from all others everywhere.
    pub fn random() -> Self {
        /// What this process puts before its numbers.
        static PREFIX: LazyLock<u64> = LazyLock::new(|| {
            // The keys of a `RandomState` are random; time and process are for a system without.
            RandomState::new().hash_one((SystemTime::now(), process::id()))
        });
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(u128::from(*PREFIX) << 64 | u128::from(number))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:032x})", self.0)
    }
}

/// Some tasks that are leased together: up to some hundreds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The priority of all of them: batches of a higher one are leased first.
    pub priority: Priority,
    /// How often these tasks were leased before and came back.
    pub attempt: u32,
    /// Whether a worker has died with this task: it is then leased by itself and runs by itself.
    pub suspect: bool,
    /// How many workers have died while they ran this task as a suspect.
    pub crashes: u32,
    /// How often these tasks were [interrupted](Release::Interrupted).
    pub interruptions: u32,
    /// The tasks.
    pub tasks: Tasks,
}

/// A batch in the hands of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// What it is called.
    pub token: Token,
    /// What is in it.
    pub batch: Batch,
}

/// What has become of a lease. All of it is applied in one step, or none of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The lease that this ends.
    pub token: Token,
    /// The lease goes on under another token with another batch: what was in it and is not over yet.
    /// No lease may be out under that token.
    pub successor: Option<Lease>,
    /// Follow-ups, and tasks of the lease that were not started. Batches without tasks are left out;
    /// otherwise a broker takes them as they are, [malformed](Malformed) ones included.
    pub posts: Vec<Batch>,
    /// What it has merged and what it has written under the lock.
    pub writes: Vec<Write>,
    /// How many tasks its handlers have posted; unlike `posts`, those that have already run are
    /// among them.
    pub posted: u64,
    /// How many tasks of each label have ended.
    pub labels: Vec<LabelCount>,
    /// The tasks that have died.
    pub dead: Vec<DeadLetter>,
}

impl Commit {
    /// The commit of a lease of which nothing is left and nothing is reported.
    pub fn new(token: Token) -> Self {
        Self {
            token,
            successor: None,
            posts: Vec::new(),
            writes: Vec::new(),
            posted: 0,
            labels: Vec::new(),
            dead: Vec::new(),
        }
    }
}

/// One entry of the dict as a commit leaves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The key.
    pub key: String,
    /// The version that this is based on, 0 for none: if another one is there, the commit is a
    /// [conflict](Step::Conflict).
    pub version: u64,
    /// The value; `None` takes it out.
    pub value: Option<Encoded>,
}

/// A value of the dict as bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoded {
    /// The name of its type, to find two keys of one name.
    pub type_name: String,
    /// The value.
    pub bytes: Bytes,
}

/// An entry of the dict. Versions count writes, also those that take the value out, so they only grow;
/// an entry that was never written has version 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// How often it was written.
    pub version: u64,
    /// The value, if there is one.
    pub value: Option<Encoded>,
}

/// What one label counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCount {
    /// The label.
    pub label: String,
    /// Tasks whose handler has returned `Ok`.
    pub finished: u64,
    /// Tasks whose handler has failed.
    pub dead: u64,
    /// How long handlers took.
    pub times: Timing,
}

/// A sample of durations in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// The tasks that `nanos` stands for.
    pub tasks: u64,
    /// What they took together, by estimate.
    pub nanos: u64,
    /// Durations that were measured, and how often.
    pub samples: Vec<(u64, u64)>,
}

/// A task that will not be tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The task.
    pub task: Bytes,
    /// How it died, in the worker's words. Empty if its workers have died or were lost: none is left to
    /// say.
    pub report: Bytes,
    /// How often it was [interrupted](Release::Interrupted), if it died of that; otherwise 0.
    pub interruptions: u32,
}

/// What [`Broker::step`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// At least one batch was leased, for the first tokens; so many workers wait all the same. Batches of
    /// a higher priority are leased before all others.
    Leased(Vec<Lease>, usize),
    /// There is nothing to be leased now, but some lease is still out; or nothing was wanted, and it
    /// is not the end. So many workers wait, the one that asked included if it wanted something.
    Empty(usize),
    /// Nothing is queued, leased or delayed, and nothing ever will be.
    Done,
    /// The lease of the commit is gone, or was committed already. Nothing was done.
    Lost,
    /// The entries that the commit writes have changed. Nothing was done; the lease is still held.
    Conflict(Conflict),
}

/// Why a commit could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The entries whose version was not the one expected, as they are now.
    pub entries: Vec<Entry>,
    /// The holder of the lock has read one of the entries: try again when the lock is free.
    pub locked: bool,
}

/// What [`Broker::lock`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lock {
    /// The lease holds the lock.
    Held,
    /// Another one does.
    Busy,
    /// The lease is gone.
    Lost,
}

/// What [`Broker::read`] answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Read {
    /// The entry.
    Entry(Entry),
    /// The entry still has the version that is known.
    Unchanged,
    /// The lease is gone.
    Lost,
}

/// Why a lease is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Release {
    /// The worker died while it ran it. Its tasks come back as suspects, one by one: it is not known which
    /// of them it was, or whether it was one of another lease that ran beside it. A task that was a
    /// suspect already has crashed once more, and at the [third time](MOST_CRASHES) it is dead.
    /// [Malformed] tasks are dead at once, as one letter. If there were no tasks, nothing comes back.
    Crashed,
    /// It was not started. The batch comes back as it was, unless it was without tasks.
    Unstarted,
    /// The worker was killed or lost while it ran it, for a reason that is not in its tasks; a lease
    /// that expires counts as this. The batch comes back, one more attempt and one more
    /// [interruption](Batch::interruptions), unless it was without tasks.
    ///
    /// Only so many are [allowed](MOST_INTERRUPTIONS). A batch of several tasks comes back whole until
    /// half of them are used up, then its tasks come back one by one; a single task that has none left
    /// is dead. [Malformed] tasks are dead instead of coming back one by one, as one letter.
    Interrupted,
}

/// What [`Broker::watch`] answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Changes so far, to be passed to the next call.
    pub seen: u64,
    /// Workers that wait for tasks.
    pub waiting: usize,
    /// Leases that wait for the lock; its holder is not among them.
    pub lock_waiting: usize,
    /// Batches that can be leased.
    pub queued: usize,
    /// Tasks that died because their workers did, or were lost.
    pub crashed: u64,
    /// Whether nothing is queued, leased or delayed.
    pub done: bool,
}

/// What a run has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Tasks that were posted, those of `begin` included.
    pub posted: u64,
    /// Counts and times by label, in the order of the labels.
    pub labels: Vec<LabelCount>,
    /// Tasks that died because their workers did, or were lost.
    pub crashed: u64,
    /// The first tasks that have died, at most [`KEPT_DEAD_LETTERS`].
    pub dead: Vec<DeadLetter>,
    /// The dict: entries that have a value, in the order of their keys.
    pub entries: Vec<Entry>,
    /// Tasks that have not ended: those that are queued, leased or delayed.
    pub left: u64,
    /// Leases that came back because their worker died or was lost, or because they expired.
    pub returned: u64,
}

/// How many dead letters a broker keeps in full; it counts all.
pub const KEPT_DEAD_LETTERS: usize = 100;

/// How many workers a suspect kills before it is dead.
pub const MOST_CRASHES: u32 = 3;

/// How often a task may be [interrupted](Release::Interrupted), unless a broker is given another number.
pub const MOST_INTERRUPTIONS: u32 = 20;

/// Why a broker could not do what it was asked to.
#[derive(Debug)]
pub struct BrokerError(Box<dyn std::error::Error + Send + Sync>);

impl BrokerError {
    /// An error with this cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the broker failed: {}", self.0)
    }
}

impl std::error::Error for BrokerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}
