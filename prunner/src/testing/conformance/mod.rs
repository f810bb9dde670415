//! The suite that every broker must pass.
//!
//! It knows a broker by its contract alone. Give [`check`], or one of the [`CASES`], a function that
//! makes a fresh run. A case is named after the rule that it tries, and panics with the rule that is
//! broken. It runs on a thread of its own: where a broker hangs, the case is given up and panics, too,
//! and leaves that thread behind.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use prunner::Order;
//! use prunner::broker::{Broker, Clock, MemoryBroker};
//! use prunner::testing::conformance::{self, CASES, Case, Harness, Make};
//! # use std::sync::Mutex;
//! # #[derive(Default)]
//! # struct TestClock(Mutex<Duration>);
//! # impl Clock for TestClock { fn now(&self) -> Duration { *self.0.lock().unwrap() } }
//! # impl TestClock { fn advance(&self, by: Duration) { *self.0.lock().unwrap() += by } }
//!
//! const LEASE: Duration = Duration::from_secs(30);
//!
//! struct InMemory { broker: Arc<MemoryBroker>, clock: Arc<TestClock> }
//!
//! impl Harness for InMemory {
//!     fn broker(&self) -> Arc<dyn Broker> { self.broker.clone() }
//!     fn lease(&self) -> Duration { LEASE }
//!     fn advance(&self, by: Duration) { self.clock.advance(by) }
//!     fn limit(&self) -> Duration { Duration::from_secs(300) }
//! }
//!
//! let make: Make = Arc::new(|first| {
//!     let clock = Arc::new(TestClock::default());
//!     let broker = MemoryBroker::new(LEASE, Order::Lifo, first).with_clock(clock.clone());
//!     Box::new(InMemory { broker: Arc::new(broker), clock })
//! });
//! // The cases that are about the lock, and all.
//! let of_the_lock = |case: &&Case| case.name().starts_with("the_lock");
//! for case in CASES.iter().filter(of_the_lock) {
//!     println!("{}", case.name());
//!     case.check(&make);
//! }
//! # if false {
//! conformance::check(&make);
//! # }
//! ```

mod commits;
mod crashes;
mod crowd;
mod end;
mod leases;
mod locks;
mod model;
mod names;
mod random;
mod runs;
mod sizes;
mod together;

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use crate::{
    Bytes, Priority,
    broker::{
        Batch, Broker, Commit, Conflict, Encoded, Entry, LabelCount, Lease, Lock, Outcome, Read,
        Release, Status, Step, Tasks, Timing, Token, Write,
    },
};

/// A run on the broker under test.
pub trait Harness: Send + Sync {
    /// The broker of this run, by a connection of its own where there are connections.
    fn broker(&self) -> Arc<dyn Broker>;

    /// How long a lease lasts. A case takes less than a fifth of this between two advances.
    fn lease(&self) -> Duration;

    /// Lets so much time pass for leases, on an injected clock or by waiting.
    fn advance(&self, by: Duration);

    /// How long a case may take over one run, all advances of it included: what takes longer hangs.
    /// Two minutes unless it is implemented.
    fn limit(&self) -> Duration {
        LIMIT
    }
}

/// Makes a fresh run with these batches queued, and nothing else.
pub type Make = Arc<dyn Fn(Vec<Batch>) -> Box<dyn Harness> + Send + Sync>;

/// A part of the suite, named after the rule that it tries.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    name: &'static str,
    body: fn(Fresh<'_>),
}

/// A [`Make`] as a case has it: under a limit.
type Fresh<'a> = &'a dyn Fn(Vec<Batch>) -> Box<dyn Harness>;

impl Case {
    const fn new(name: &'static str, body: fn(Fresh<'_>)) -> Self {
        Self { name, body }
    }

    /// The rule, in words with underscores between them.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Tries the rule on fresh runs.
    ///
    /// # Panics
    ///
    /// When the broker breaks the rule, and when it [hangs](Harness::limit).
    pub fn check(&self, make: &Make) {
        let (limits, runs) = mpsc::channel();
        let (make, body) = (Arc::clone(make), self.body);
        // Not a scoped one: what hangs is left behind.
        let thread = thread::Builder::new().name(self.name.into()).spawn(move || {
            body(&|first| {
                let harness = make(first);
                _ = limits.send(harness.limit());
                harness
            });
        });
        let thread = thread.expect("a case has a thread");
        let mut limit = LIMIT;
        loop {
            match runs.recv_timeout(limit) {
                Ok(of_the_next) => limit = of_the_next,
                // The case has returned, or panicked.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} hangs: a run of it has taken longer than {limit:?}", self.name)
                }
            }
        }
        if let Err(panic) = thread.join() {
            resume_unwind(panic);
        }
    }
}

/// How long a case may take over one run, unless its harness says otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// The whole suite.
pub const CASES: &[Case] = &[
    Case::new("one_batch_for_each_token", leases::one_batch_for_each_token),
    Case::new("asking_again_takes_nothing_more", leases::asking_again_takes_nothing_more),
    Case::new("used_tokens_are_not_leased", leases::used_tokens_are_not_leased),
    Case::new("higher_priorities_come_first", leases::higher_priorities_come_first),
    Case::new("expired_leases_come_back", leases::expired_leases_come_back),
    Case::new("renewed_leases_stay", leases::renewed_leases_stay),
    Case::new("late_commits_do_nothing", leases::late_commits_do_nothing),
    Case::new(
        "unstarted_leases_come_back_as_they_were",
        leases::unstarted_leases_come_back_as_they_were,
    ),
    Case::new("crashed_tasks_come_back_one_by_one", crashes::crashed_tasks_come_back_one_by_one),
    Case::new("interruptions_charge_no_task", crashes::interruptions_charge_no_task),
    Case::new("interruptions_have_an_end", crashes::interruptions_have_an_end),
    Case::new("poison_dies_alone", crashes::poison_dies_alone),
    Case::new("expiry_is_an_interruption", crashes::expiry_is_an_interruption),
    Case::new("malformed_tasks_die_whole", crashes::malformed_tasks_die_whole),
    Case::new("leases_without_tasks_vanish", crashes::leases_without_tasks_vanish),
    Case::new("attempts_and_suspicions_travel", crashes::attempts_and_suspicions_travel),
    Case::new("commits_are_whole", commits::commits_are_whole),
    Case::new("commits_count_once", commits::commits_count_once),
    Case::new("answered_commits_stay", commits::answered_commits_stay),
    Case::new("kept_leases_go_on", commits::kept_leases_go_on),
    Case::new("keeping_needs_a_new_token", commits::keeping_needs_a_new_token),
    Case::new("conflicts_change_nothing", commits::conflicts_change_nothing),
    Case::new("versions_only_grow", commits::versions_only_grow),
    Case::new("reads_know_versions", commits::reads_know_versions),
    Case::new("labels_add_up", commits::labels_add_up),
    Case::new("few_dead_letters_are_kept", commits::few_dead_letters_are_kept),
    Case::new(
        "a_commit_sent_again_much_later_is_lost",
        commits::a_commit_sent_again_much_later_is_lost,
    ),
    Case::new(
        "equal_commits_at_the_same_time_count_once",
        commits::equal_commits_at_the_same_time_count_once,
    ),
    Case::new(
        "writes_at_the_same_time_are_all_kept",
        commits::writes_at_the_same_time_are_all_kept,
    ),
    Case::new("the_lock_is_held_until_the_commit", locks::the_lock_is_held_until_the_commit),
    Case::new("the_lock_is_freed_with_its_lease", locks::the_lock_is_freed_with_its_lease),
    Case::new("the_lock_is_given_in_turn", locks::the_lock_is_given_in_turn),
    Case::new("read_entries_wait_for_the_lock", locks::read_entries_wait_for_the_lock),
    Case::new("gone_leases_neither_lock_nor_read", locks::gone_leases_neither_lock_nor_read),
    Case::new(
        "the_line_for_the_lock_keeps_its_order",
        locks::the_line_for_the_lock_keeps_its_order,
    ),
    Case::new("a_conflict_keeps_the_lock", locks::a_conflict_keeps_the_lock),
    Case::new("the_lock_excludes", locks::the_lock_excludes),
    Case::new("done_when_nothing_is_left", end::done_when_nothing_is_left),
    Case::new("a_commit_takes_its_own_posts", end::a_commit_takes_its_own_posts),
    Case::new("what_is_left_is_counted", end::what_is_left_is_counted),
    Case::new("many_find_the_end_together", end::many_find_the_end_together),
    Case::new("an_expired_lease_is_no_end", end::an_expired_lease_is_no_end),
    Case::new("what_is_given_back_holds_the_end_open", end::what_is_given_back_holds_the_end_open),
    Case::new("what_expires_holds_the_end_open", end::what_expires_holds_the_end_open),
    Case::new("waiting_workers_are_counted", end::waiting_workers_are_counted),
    Case::new("who_watches_is_woken", end::who_watches_is_woken),
    Case::new("who_watches_sees_what_expires", end::who_watches_sees_what_expires),
    Case::new("names_are_taken_as_they_are", names::names_are_taken_as_they_are),
    Case::new("a_commit_may_be_large", sizes::a_commit_may_be_large),
    Case::new("runs_are_apart", runs::runs_are_apart),
    Case::new(
        "random_histories_agree_with_the_model",
        random::random_histories_agree_with_the_model,
    ),
    Case::new("what_many_do_at_once_adds_up", crowd::what_many_do_at_once_adds_up),
];

/// Tries all [`CASES`].
///
/// # Panics
///
/// When the broker breaks a rule, and when it [hangs](Harness::limit).
pub fn check(make: &Make) {
    for case in CASES {
        case.check(make);
    }
}

/// A run, and what the cases do with it.
struct Run {
    harness: Arc<dyn Harness>,
    broker: Arc<dyn Broker>,
}

impl Run {
    fn new(make: Fresh<'_>, first: impl Into<Vec<Batch>>) -> Self {
        let harness: Arc<dyn Harness> = make(first.into()).into();
        let broker = harness.broker();
        Self { harness, broker }
    }

    /// The same run by another connection.
    fn another(&self) -> Self {
        Self { harness: Arc::clone(&self.harness), broker: self.harness.broker() }
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Step {
        self.broker.step(commit, want).expect("the broker steps")
    }

    /// Commits and asks for nothing.
    fn commit(&self, commit: &Commit) -> Step {
        self.step(Some(commit), &[])
    }

    /// Asks for one batch.
    fn ask(&self) -> Step {
        self.step(None, &[Token::random()])
    }

    /// Takes one batch, which must be there.
    fn take(&self) -> Lease {
        let token = Token::random();
        match self.step(None, &[token]) {
            Step::Leased(leases, _) if leases.len() == 1 => {
                leases.into_iter().next().filter(|lease| lease.token == token)
            }
            _ => None,
        }
        .expect("who asks under one token gets one of the queued batches under it")
    }

    fn lock(&self, token: Token) -> Lock {
        self.broker.lock(token).expect("the broker locks")
    }

    fn read(&self, token: Token, key: &str, known: u64) -> Read {
        self.broker.read(token, key, known).expect("the broker reads")
    }

    fn renew(&self, tokens: &[Token]) -> Vec<Token> {
        self.broker.renew(tokens).expect("the broker renews")
    }

    fn release(&self, token: Token, why: Release) {
        self.broker.release(token, why).expect("the broker releases");
    }

    fn look(&self) -> Status {
        self.broker.watch(0, Duration::ZERO).expect("the broker is watched")
    }

    fn outcome(&self) -> Outcome {
        self.broker.outcome().expect("the broker tells the outcome")
    }

    /// Lets every lease reach its end, and asks the broker nothing: it does not know yet.
    fn outlast(&self) {
        self.pass(6);
    }

    fn pass(&self, fifths: u32) {
        self.harness.advance(self.harness.lease() / 5 * fifths);
    }

    /// Lets two fifths of a lease pass: after two of these a lease lives, after three it does not.
    fn age(&self) {
        self.advance(2);
    }

    /// Lets every lease expire.
    fn expire(&self) {
        self.advance(6);
    }

    fn advance(&self, fifths: u32) {
        self.pass(fifths);
        // A broker may notice some expired leases at a time.
        for _ in 0..4 {
            self.look();
        }
    }
}

fn batch(tasks: &[&[u8]]) -> Batch {
    let mut batch = Batch::default();
    tasks.iter().for_each(|task| batch.tasks.push(task));
    batch
}

/// The rest of a lease: one task, under a new token.
fn successor() -> Lease {
    Lease { token: Token::random(), batch: batch(&[b"a"]) }
}

fn with_priority(priority: Priority, batch: Batch) -> Batch {
    Batch { priority, ..batch }
}

/// The tasks of `batch`.
fn tasks(batch: &Batch) -> Vec<Vec<u8>> {
    let tasks: Result<Vec<_>, _> = batch.tasks.iter().map(|it| it.map(<[u8]>::to_vec)).collect();
    tasks.expect("a batch comes as it was posted")
}

fn value(text: &str) -> Option<Encoded> {
    Some(Encoded { type_name: "text".into(), bytes: Bytes(text.into()) })
}

/// The value of an entry as a number; 0 if there is none.
fn number_of(entry: &Entry) -> u64 {
    let Some(Encoded { bytes, .. }) = &entry.value else { return 0 };
    let text = str::from_utf8(&bytes.0).ok();
    text.and_then(|text| text.parse().ok()).expect("a value is read as it was written")
}

fn write(key: &str, version: u64, value: Option<Encoded>) -> Write {
    Write { key: key.into(), version, value }
}

fn entry(key: &str, version: u64, value: Option<Encoded>) -> Entry {
    Entry { key: key.into(), version, value }
}

fn count(label: &str, finished: u64, dead: u64) -> LabelCount {
    LabelCount { label: label.into(), finished, dead, times: Timing::default() }
}

/// The commit of a lease whose tasks have posted and written, and finished under the label "a".
fn rich(token: Token) -> Commit {
    Commit {
        posts: vec![batch(&[b"x", b"y"])],
        writes: vec![write("k", 0, value("v"))],
        posted: 2,
        labels: vec![count("a", 1, 0)],
        ..Commit::new(token)
    }
}

/// What has come of a run in which nothing but [`rich`] was committed.
fn rich_outcome() -> Outcome {
    Outcome {
        posted: 2,
        labels: vec![count("a", 1, 0)],
        entries: vec![entry("k", 1, value("v"))],
        left: 2,
        ..Outcome::default()
    }
}
