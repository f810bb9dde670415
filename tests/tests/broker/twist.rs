//! Brokers that do as the one in memory does, but for one thing.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};
pub(crate) use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use prunner::testing::conformance::{CASES, Harness, Make};
pub(crate) use prunner::{
    Order, Priority,
    broker::{
        Batch, Broker, BrokerError, Clock, Commit, Conflict, Entry, Lease, Lock, MemoryBroker,
        Outcome, Read, Release, Status, Step, Tasks, Token, Write,
    },
};

pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// How long a case may take over one run.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a case waits that is to wait in vain, more or less.
const SHORT: Duration = Duration::from_secs(4);

/// What twists stand in front of.
pub(crate) type Memory = Arc<MemoryBroker>;

/// A clock that the tests set.
#[derive(Default)]
pub(crate) struct TestClock(Mutex<Duration>);

impl TestClock {
    pub(crate) fn set(&self, now: Duration) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// A broker on a test's clock.
struct OnClock<B> {
    broker: Arc<B>,
    clock: Arc<TestClock>,
    limit: Duration,
}

impl<B: Broker + 'static> Harness for OnClock<B> {
    fn broker(&self) -> Arc<dyn Broker> {
        self.broker.clone()
    }

    fn lease(&self) -> Duration {
        LEASE
    }

    fn advance(&self, by: Duration) {
        *self.clock.0.lock().unwrap() += by;
    }

    fn limit(&self) -> Duration {
        self.limit
    }
}

/// The broker in memory as it is.
pub(crate) fn in_memory(order: Order) -> Make {
    in_memory_for(LEASE, order)
}

/// The broker in memory, whose leases last so long.
pub(crate) fn in_memory_for(lease: Duration, order: Order) -> Make {
    Arc::new(move |first| {
        let clock = Arc::<TestClock>::default();
        let broker = MemoryBroker::new(lease, order, first).with_clock(clock.clone());
        Box::new(OnClock { broker: Arc::new(broker), clock, limit: LIMIT })
    })
}

/// A broker that does as the one in memory does, but for what a test changes.
pub(crate) trait Twist: Send + Sync + 'static {
    fn inner(&self) -> Memory;

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        self.inner().step(commit, want)
    }

    fn lock(&self, token: Token) -> Result<Lock, BrokerError> {
        self.inner().lock(token)
    }

    fn read(&self, token: Token, key: &str, known: u64) -> Result<Read, BrokerError> {
        self.inner().read(token, key, known)
    }

    fn renew(&self, tokens: &[Token]) -> Result<Vec<Token>, BrokerError> {
        self.inner().renew(tokens)
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        self.inner().release(token, why)
    }

    fn watch(&self, seen: u64, patience: Duration) -> Result<Status, BrokerError> {
        self.inner().watch(seen, patience)
    }

    fn outcome(&self) -> Result<Outcome, BrokerError> {
        self.inner().outcome()
    }
}

/// What the broker of a [`Twist`] is made of.
pub(crate) struct Inner {
    pub(crate) first: Vec<Batch>,
    pub(crate) clock: Arc<TestClock>,
}

impl Inner {
    pub(crate) fn broker(&self) -> Memory {
        self.on_clock(Arc::clone(&self.clock))
    }

    pub(crate) fn on_clock(&self, clock: Arc<TestClock>) -> Memory {
        Arc::new(MemoryBroker::new(LEASE, Order::Lifo, self.first.clone()).with_clock(clock))
    }
}

struct Twisted<T>(T);

impl<T: Twist> Broker for Twisted<T> {
    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        self.0.step(commit, want)
    }

    fn lock(&self, token: Token) -> Result<Lock, BrokerError> {
        self.0.lock(token)
    }

    fn read(&self, token: Token, key: &str, known: u64) -> Result<Read, BrokerError> {
        self.0.read(token, key, known)
    }

    fn renew(&self, tokens: &[Token]) -> Result<Vec<Token>, BrokerError> {
        self.0.renew(tokens)
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        self.0.release(token, why)
    }

    fn watch(&self, seen: u64, patience: Duration) -> Result<Status, BrokerError> {
        self.0.watch(seen, patience)
    }

    fn outcome(&self) -> Result<Outcome, BrokerError> {
        self.0.outcome()
    }
}

/// Runs on brokers that `twist` makes.
pub(crate) fn twisted<T: Twist>(twist: impl Fn(Inner) -> T + Send + Sync + 'static) -> Make {
    twisted_within(LIMIT, twist)
}

fn twisted_within<T: Twist>(
    limit: Duration,
    twist: impl Fn(Inner) -> T + Send + Sync + 'static,
) -> Make {
    Arc::new(move |first| {
        let clock = Arc::<TestClock>::default();
        let broker = Arc::new(Twisted(twist(Inner { first, clock: Arc::clone(&clock) })));
        Box::new(OnClock { broker, clock, limit })
    })
}

/// What the case `name` says against a broker, if it fails it.
pub(crate) fn verdict(name: &str, make: &Make) -> Option<String> {
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().expect("a panic has a text")).to_owned(),
    };
    let case = CASES.iter().find(|case| case.name() == name).expect("the suite has this case");
    catch_unwind(AssertUnwindSafe(|| case.check(make))).err().map(text)
}

/// The brokers that `twist` makes must fail the case `name`, which must say so with `rule`.
pub(crate) fn fails<T: Twist>(
    name: &str,
    rule: &str,
    twist: impl Fn(Inner) -> T + Send + Sync + 'static,
) {
    condemn(name, rule, &twisted(twist));
}

/// Does as [`fails`] does, with a broker that lets the case wait in vain.
pub(crate) fn fails_in_vain<T: Twist>(
    name: &str,
    rule: &str,
    twist: impl Fn(Inner) -> T + Send + Sync + 'static,
) {
    condemn(name, rule, &twisted_within(SHORT, twist));
}

fn condemn(name: &str, rule: &str, make: &Make) {
    let verdict = verdict(name, make).expect("a broker that breaks a rule does not pass");
    assert!(verdict.contains(rule), "another rule was named: {verdict}");
}

/// A twist that changes commits before they are applied.
pub(crate) struct Edited<E> {
    inner: Memory,
    edit: E,
}

impl<E: Fn(&mut Commit) + Send + Sync + 'static> Edited<E> {
    pub(crate) fn new(made: &Inner, edit: E) -> Self {
        Self { inner: made.broker(), edit }
    }
}

impl<E: Fn(&mut Commit) + Send + Sync + 'static> Twist for Edited<E> {
    fn inner(&self) -> Memory {
        Arc::clone(&self.inner)
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let commit = commit.cloned().map(|mut commit| {
            (self.edit)(&mut commit);
            commit
        });
        self.inner.step(commit.as_ref(), want)
    }
}

/// The brokers that apply commits as `edit` changes them must fail the case `name`.
pub(crate) fn fails_edited(
    name: &str,
    rule: &str,
    edit: impl Fn(&mut Commit) + Clone + Send + Sync + 'static,
) {
    fails(name, rule, move |made| Edited::new(&made, edit.clone()));
}

/// The batch of each lease, as long as a twist wants to know it.
#[derive(Default)]
pub(crate) struct Batches(Mutex<HashMap<Token, Batch>>);

impl Batches {
    /// Notes the leases of an answer.
    pub(crate) fn note(&self, step: &Step) {
        if let Step::Leased(leases, _) = step {
            let leases = leases.iter().map(|lease| (lease.token, lease.batch.clone()));
            self.0.lock().unwrap().extend(leases);
        }
    }

    pub(crate) fn remove(&self, token: Token) -> Option<Batch> {
        self.0.lock().unwrap().remove(&token)
    }
}

/// Tasks as a batch.
pub(crate) fn batch_of(tasks: &[&[u8]]) -> Tasks {
    let mut all = Tasks::new();
    tasks.iter().for_each(|task| all.push(task));
    all
}

/// Whether `token` is the name of a lease that is out.
pub(crate) fn holds(broker: &MemoryBroker, token: Token) -> bool {
    broker.read(token, "", 0).unwrap() != Read::Lost
}

/// Lets others act in the midst of something.
pub(crate) fn linger() {
    (0..20).for_each(|_| thread::yield_now());
}
