//! The suite that every broker must pass.
//!
//! It knows a broker by its contract alone. Give [`check`], or one of the [`CASES`], a function that
//! makes a fresh run. A case is named after the rule that it tries, and panics with the rule that is
//! broken.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use prunner::Order;
//! use prunner::broker::{Broker, Clock, MemoryBroker};
//! use prunner::testing::conformance::{self, Harness};
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
//! }
//!
//! let make: conformance::Make<'_> = &|first| {
//!     let clock = Arc::new(TestClock::default());
//!     let broker = MemoryBroker::new(LEASE, Order::Lifo, first).with_clock(clock.clone());
//!     Box::new(InMemory { broker: Arc::new(broker), clock })
//! };
//! // One case, those that are about the lock, and all.
//! conformance::leases::late_commits_do_nothing(make);
//! let of_the_lock = conformance::CASES.iter().filter(|(name, _)| name.starts_with("the_lock"));
//! for &(name, case) in of_the_lock {
//!     let case: conformance::Case = case;
//!     println!("{name}");
//!     case(make);
//! }
//! # if false {
//! conformance::check(make);
//! # }
//! ```

pub mod commits;
pub mod crashes;
pub mod end;
pub mod leases;
pub mod locks;
mod model;
pub mod random;

use std::{sync::Arc, time::Duration};

use crate::{
    Bytes, Priority,
    broker::{
        Batch, Broker, Commit, Conflict, Encoded, Entry, LabelCount, Lease, Lock, Outcome, Read,
        Release, Status, Step, Tasks, Timing, Token, Write,
    },
};

/// A run on the broker under test.
pub trait Harness {
    /// The broker of this run, by a connection of its own where there are connections.
    fn broker(&self) -> Arc<dyn Broker>;

    /// How long a lease lasts. A case takes less than a fifth of this between two advances.
    fn lease(&self) -> Duration;

    /// Lets so much time pass for leases, on an injected clock or by waiting.
    fn advance(&self, by: Duration);
}

/// Makes a fresh run with these batches queued, and nothing else.
pub type Make<'a> = &'a dyn Fn(Vec<Batch>) -> Box<dyn Harness>;

/// A part of the suite. It panics if the broker breaks the rule that it tries.
pub type Case = fn(Make<'_>);

/// The whole suite, by name.
pub const CASES: &[(&str, Case)] = &[
    ("one_batch_for_each_token", leases::one_batch_for_each_token),
    ("asking_again_takes_nothing_more", leases::asking_again_takes_nothing_more),
    ("used_tokens_are_not_leased", leases::used_tokens_are_not_leased),
    ("higher_priorities_come_first", leases::higher_priorities_come_first),
    ("expired_leases_come_back", leases::expired_leases_come_back),
    ("renewed_leases_stay", leases::renewed_leases_stay),
    ("late_commits_do_nothing", leases::late_commits_do_nothing),
    ("unstarted_leases_come_back_as_they_were", leases::unstarted_leases_come_back_as_they_were),
    ("crashed_tasks_come_back_one_by_one", crashes::crashed_tasks_come_back_one_by_one),
    ("interruptions_charge_no_task", crashes::interruptions_charge_no_task),
    ("interruptions_have_an_end", crashes::interruptions_have_an_end),
    ("poison_dies_alone", crashes::poison_dies_alone),
    ("expiry_is_an_interruption", crashes::expiry_is_an_interruption),
    ("malformed_tasks_die_whole", crashes::malformed_tasks_die_whole),
    ("leases_without_tasks_vanish", crashes::leases_without_tasks_vanish),
    ("commits_are_whole", commits::commits_are_whole),
    ("commits_count_once", commits::commits_count_once),
    ("answered_commits_stay", commits::answered_commits_stay),
    ("kept_leases_go_on", commits::kept_leases_go_on),
    ("keeping_needs_a_new_token", commits::keeping_needs_a_new_token),
    ("conflicts_change_nothing", commits::conflicts_change_nothing),
    ("versions_only_grow", commits::versions_only_grow),
    ("reads_know_versions", commits::reads_know_versions),
    ("labels_add_up", commits::labels_add_up),
    ("few_dead_letters_are_kept", commits::few_dead_letters_are_kept),
    ("the_lock_is_held_until_the_commit", locks::the_lock_is_held_until_the_commit),
    ("the_lock_is_freed_with_its_lease", locks::the_lock_is_freed_with_its_lease),
    ("the_lock_is_given_in_turn", locks::the_lock_is_given_in_turn),
    ("read_entries_wait_for_the_lock", locks::read_entries_wait_for_the_lock),
    ("gone_leases_neither_lock_nor_read", locks::gone_leases_neither_lock_nor_read),
    ("done_when_nothing_is_left", end::done_when_nothing_is_left),
    ("a_commit_takes_its_own_posts", end::a_commit_takes_its_own_posts),
    ("what_is_left_is_counted", end::what_is_left_is_counted),
    ("many_find_the_end_together", end::many_find_the_end_together),
    ("waiting_workers_are_counted", end::waiting_workers_are_counted),
    ("who_watches_is_woken", end::who_watches_is_woken),
    ("random_histories_agree_with_the_model", random::random_histories_agree_with_the_model),
];

/// Tries all [`CASES`].
///
/// # Panics
///
/// When the broker breaks a rule.
pub fn check(make: Make<'_>) {
    for (_, case) in CASES {
        case(make);
    }
}

/// A run, and what the cases do with it.
struct Run {
    harness: Box<dyn Harness>,
    broker: Arc<dyn Broker>,
}

impl Run {
    fn new(make: Make<'_>, first: impl Into<Vec<Batch>>) -> Self {
        let harness = make(first.into());
        let broker = harness.broker();
        Self { harness, broker }
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

    /// Lets two fifths of a lease pass: after two of these a lease lives, after three it does not.
    fn age(&self) {
        self.advance(2);
    }

    /// Lets every lease expire.
    fn expire(&self) {
        self.advance(6);
    }

    fn advance(&self, fifths: u32) {
        self.harness.advance(self.harness.lease() / 5 * fifths);
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
