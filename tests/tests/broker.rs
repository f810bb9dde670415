//! The suite for brokers: the broker in memory passes it, and brokers that each break one rule do not.

use std::{
    any::Any,
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use prunner::{
    Order, Priority,
    broker::{
        Batch, Broker, BrokerError, Clock, Commit, Conflict, Lease, Lock, MemoryBroker, Outcome,
        Read, Release, Status, Step, Tasks, Token,
    },
    testing::conformance::{CASES, Harness, Make, check},
};
use prunner_tests::watchdog::Watchdog;

prunner_tests::watched!();

const LEASE: Duration = Duration::from_secs(30);

/// A clock that the tests set.
#[derive(Default)]
struct TestClock(Mutex<Duration>);

impl Clock for TestClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// A broker on a test's clock.
struct OnClock<B> {
    broker: Arc<B>,
    clock: Arc<TestClock>,
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
}

fn in_memory(order: Order, first: Vec<Batch>, clock: &Arc<TestClock>) -> MemoryBroker {
    MemoryBroker::new(LEASE, order, first).with_clock(clock.clone())
}

#[test]
fn the_broker_in_memory_passes() {
    for order in [Order::Lifo, Order::Fifo] {
        let _watchdog = Watchdog::after(Duration::from_secs(300), "the suite for brokers");
        check(&|first| {
            let clock = Arc::default();
            Box::new(OnClock { broker: Arc::new(in_memory(order, first, &clock)), clock })
        });
    }
}

#[test]
fn the_suite_names_each_case_once() {
    let names: HashSet<_> = CASES.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), CASES.len());
}

/// A broker that does as the one in memory does, but for what a test changes.
trait Twist: Send + Sync + 'static {
    fn new(made: Inner) -> Self;

    fn inner(&self) -> Arc<MemoryBroker>;

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

    fn outcome(&self) -> Result<Outcome, BrokerError> {
        self.inner().outcome()
    }
}

/// How the broker of a [`Twist`] is made.
struct Inner {
    first: Vec<Batch>,
    clock: Arc<TestClock>,
}

impl Inner {
    fn broker(&self) -> Arc<MemoryBroker> {
        Arc::new(in_memory(Order::Lifo, self.first.clone(), &self.clock))
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
        self.0.inner().watch(seen, patience)
    }

    fn outcome(&self) -> Result<Outcome, BrokerError> {
        self.0.outcome()
    }
}

fn twisted<T: Twist>(first: Vec<Batch>) -> Box<dyn Harness> {
    let clock = Arc::default();
    let broker = Arc::new(Twisted(T::new(Inner { first, clock: Arc::clone(&clock) })));
    Box::new(OnClock { broker, clock })
}

/// What a case says against a broker, if it fails it.
fn verdict(case: fn(Make<'_>), make: Make<'_>) -> Option<String> {
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().expect("a panic has a text")).to_owned(),
    };
    catch_unwind(AssertUnwindSafe(|| case(make))).err().map(text)
}

/// The broker `T` must fail the case `name`, which must say so with `rule`.
fn fails<T: Twist>(name: &str, rule: &str) {
    let _watchdog = Watchdog::after(Duration::from_secs(300), "a broker that breaks a rule");
    let (_, case) = CASES.iter().find(|(it, _)| *it == name).expect("the suite has this case");
    let verdict = verdict(*case, &twisted::<T>).expect("who breaks a rule does not pass");
    assert!(verdict.contains(rule), "another rule was named: {verdict}");
}

/// The twist that changes nothing: what the others fail for is theirs alone.
struct Straight(Arc<MemoryBroker>);

impl Twist for Straight {
    fn new(made: Inner) -> Self {
        Self(made.broker())
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.0.clone()
    }
}

#[test]
fn a_twist_that_changes_nothing_passes() {
    let _watchdog = Watchdog::after(Duration::from_secs(300), "the suite for brokers");
    check(&twisted::<Straight>);
}

/// Answers a commit before it is safe: a crash right afterwards takes it back.
struct Forgetful {
    made: Inner,
    broker: Mutex<Arc<MemoryBroker>>,
    log: Mutex<Vec<Call>>,
}

enum Call {
    Step(Option<Commit>, Vec<Token>),
    Release(Token, Release),
}

impl Forgetful {
    /// Starts again from what is safe.
    fn restart(&self, log: &[Call]) {
        let broker = self.made.broker();
        for call in log {
            match call {
                Call::Step(commit, want) => _ = broker.step(commit.as_ref(), want).unwrap(),
                Call::Release(token, why) => broker.release(*token, *why).unwrap(),
            }
        }
        *self.broker.lock().unwrap() = broker;
    }
}

impl Twist for Forgetful {
    fn new(made: Inner) -> Self {
        Self { broker: Mutex::new(made.broker()), made, log: Mutex::default() }
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.broker.lock().unwrap().clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        self.log.lock().unwrap().push(Call::Step(commit.cloned(), want.to_vec()));
        self.inner().step(commit, want)
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        let mut log = self.log.lock().unwrap();
        if why == Release::Crashed && matches!(log.last(), Some(Call::Step(Some(_), _))) {
            log.pop();
            self.restart(&log);
        }
        log.push(Call::Release(token, why));
        self.inner().release(token, why)
    }
}

#[test]
fn an_answer_before_the_commit_is_found() {
    fails::<Forgetful>("answered_commits_stay", "a commit that was answered stays");
}

/// Commits and takes in two steps, and finds the end by two looks: is the queue empty, is a lease out.
struct TwoLooks {
    inner: Arc<MemoryBroker>,
    out: Mutex<HashSet<Token>>,
}

impl TwoLooks {
    fn commit(&self, commit: &Commit) -> Result<Step, BrokerError> {
        let mut out = self.out.lock().unwrap();
        let step = self.inner.step(Some(commit), &[])?;
        if matches!(step, Step::Empty(_) | Step::Done) {
            out.remove(&commit.token);
        }
        Ok(step)
    }

    fn take(&self, want: &[Token]) -> Result<Step, BrokerError> {
        let mut out = self.out.lock().unwrap();
        let step = self.inner.step(None, want)?;
        if let Step::Leased(leases, _) = &step {
            out.extend(leases.iter().map(|lease| lease.token));
        }
        Ok(step)
    }
}

impl Twist for TwoLooks {
    fn new(made: Inner) -> Self {
        Self { inner: made.broker(), out: Mutex::default() }
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        if let Some(commit) = commit {
            let step = self.commit(commit)?;
            if !matches!(step, Step::Empty(_)) {
                return Ok(step);
            }
            thread::yield_now();
        }
        let step = self.take(want)?;
        let nothing_queued = matches!(step, Step::Empty(_));
        thread::yield_now();
        let nothing_out = || self.out.lock().unwrap().is_empty();
        Ok(if nothing_queued && nothing_out() { Step::Done } else { step })
    }
}

#[test]
fn an_end_found_by_two_looks_is_found() {
    let rule = "the end is not found while a lease is out";
    fails::<TwoLooks>("many_find_the_end_together", rule);
}

/// Numbers the leases itself.
struct Numbered {
    inner: Arc<MemoryBroker>,
    next: Mutex<u128>,
}

impl Twist for Numbered {
    fn new(made: Inner) -> Self {
        Self { inner: made.broker(), next: Mutex::new(1) }
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let mut next = self.next.lock().unwrap();
        let numbers: Vec<_> = (*next..).map(Token).take(want.len()).collect();
        *next += want.len() as u128;
        self.inner.step(commit, &numbers)
    }
}

#[test]
fn leases_that_the_broker_numbers_are_found() {
    fails::<Numbered>("one_batch_for_each_token", "leases are named by who asks for them");
}

/// Knows leases by their places in a table, which are used again.
struct Places {
    inner: Arc<MemoryBroker>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    place_of: HashMap<Token, usize>,
    holders: Vec<Token>,
}

impl Twist for Places {
    fn new(made: Inner) -> Self {
        Self { inner: made.broker(), table: Mutex::default() }
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let mut table = self.table.lock().unwrap();
        let mut commit = commit.cloned();
        if let Some(commit) = &mut commit
            && let Some(&place) = table.place_of.get(&commit.token)
        {
            commit.token = table.holders[place];
        }
        let step = self.inner.step(commit.as_ref(), want)?;
        if let Step::Leased(leases, _) = &step {
            for Lease { token, .. } in leases {
                let gone = |holder: &Token| self.inner.read(*holder, "", 0).unwrap() == Read::Lost;
                let place = table.holders.iter().position(gone).unwrap_or(table.holders.len());
                match table.holders.get_mut(place) {
                    Some(holder) => *holder = *token,
                    None => table.holders.push(*token),
                }
                table.place_of.insert(*token, place);
            }
        }
        Ok(step)
    }
}

#[test]
fn names_of_leases_that_are_used_again_are_found() {
    fails::<Places>("late_commits_do_nothing", "a commit that comes too late is lost");
}

/// Has a lease of its own, under which it commits what it should not.
struct Sly<const DEED: u8> {
    inner: Arc<MemoryBroker>,
    own: Mutex<Token>,
    applied: Mutex<HashSet<Token>>,
}

impl<const DEED: u8> Sly<DEED> {
    fn commit(&self, commit: &Commit) {
        let mut own = self.own.lock().unwrap();
        let next = Token::random();
        let keep = Some(Lease { token: next, batch: Batch::default() });
        let commit = Commit { token: *own, successor: keep, ..commit.clone() };
        self.inner.step(Some(&commit), &[]).unwrap();
        *own = next;
    }
}

/// What is left of a commit in conflict is applied: its posts, its counts, and the writes that fit.
const HALF: u8 = 0;
/// What is sent again is applied again.
const TWICE: u8 = 1;

impl<const DEED: u8> Twist for Sly<DEED> {
    fn new(mut made: Inner) -> Self {
        made.first.push(Batch { priority: Priority::High, ..Batch::default() });
        let inner = made.broker();
        let own = Token::random();
        inner.step(None, &[own]).unwrap();
        Self { inner, own: Mutex::new(own), applied: Mutex::default() }
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let step = self.inner.step(commit, want)?;
        let Some(commit) = commit else { return Ok(step) };
        match &step {
            Step::Conflict(conflict) if DEED == HALF => {
                let stale: HashSet<_> = conflict.entries.iter().map(|entry| &entry.key).collect();
                let mut half = commit.clone();
                half.writes.retain(|write| !stale.contains(&write.key));
                self.commit(&half);
            }
            Step::Lost if DEED == TWICE && self.applied.lock().unwrap().contains(&commit.token) => {
                let writes = Vec::new();
                self.commit(&Commit { writes, ..commit.clone() });
            }
            Step::Leased(..) | Step::Empty(_) => {
                _ = self.applied.lock().unwrap().insert(commit.token)
            }
            _ => {}
        }
        Ok(step)
    }
}

#[test]
fn half_a_commit_is_found() {
    let rule = "a commit in conflict writes and counts nothing";
    fails::<Sly<HALF>>("conflicts_change_nothing", rule);
}

#[test]
fn a_commit_that_counts_twice_is_found() {
    fails::<Sly<TWICE>>("commits_count_once", "a commit counts once");
}

/// Gives back what has killed a worker in pieces of `PIECE` tasks.
struct Pieces<const PIECE: usize> {
    inner: Arc<MemoryBroker>,
    batches: Mutex<HashMap<Token, Batch>>,
}

impl<const PIECE: usize> Twist for Pieces<PIECE> {
    fn new(made: Inner) -> Self {
        Self { inner: made.broker(), batches: Mutex::default() }
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let step = self.inner.step(commit, want)?;
        if let Step::Leased(leases, _) = &step {
            let leases = leases.iter().map(|lease| (lease.token, lease.batch.clone()));
            self.batches.lock().unwrap().extend(leases);
        }
        Ok(step)
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        let batch = self.batches.lock().unwrap().remove(&token);
        let Some(batch) = batch.filter(|batch| why == Release::Crashed && batch.tasks.len() > 1)
        else {
            return self.inner.release(token, why);
        };
        let tasks: Vec<_> = batch.tasks.iter().map(Result::unwrap).collect();
        let piece = |some: &[&[u8]]| {
            let mut tasks = Tasks::new();
            some.iter().for_each(|task| tasks.push(task));
            Batch { attempt: batch.attempt + 1, suspect: true, tasks, ..batch.clone() }
        };
        let posts = tasks.chunks(PIECE).map(piece).collect();
        self.inner.step(Some(&Commit { posts, ..Commit::new(token) }), &[]).map(|_| ())
    }
}

/// Takes whatever a worker dies of for a crash.
struct Accuser(Arc<MemoryBroker>);

impl Twist for Accuser {
    fn new(made: Inner) -> Self {
        Self(made.broker())
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        Arc::clone(&self.0)
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        let why = if why == Release::Interrupted { Release::Crashed } else { why };
        self.0.release(token, why)
    }
}

#[test]
fn charges_for_interruptions_are_found() {
    let rule = "an interruption says nothing about its tasks";
    fails::<Accuser>("interruptions_charge_no_task", rule);
}

/// Forgets how often a task was interrupted.
struct Patient {
    inner: Arc<MemoryBroker>,
    batches: Mutex<HashMap<Token, Batch>>,
}

impl Twist for Patient {
    fn new(made: Inner) -> Self {
        Self { inner: made.broker(), batches: Mutex::default() }
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let step = self.inner.step(commit, want)?;
        if let Step::Leased(leases, _) = &step {
            let leases = leases.iter().map(|lease| (lease.token, lease.batch.clone()));
            self.batches.lock().unwrap().extend(leases);
        }
        Ok(step)
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        let batch = self.batches.lock().unwrap().remove(&token);
        let Some(batch) =
            batch.filter(|batch| why == Release::Interrupted && batch.interruptions > 15)
        else {
            return self.inner.release(token, why);
        };
        let posts = vec![Batch { attempt: batch.attempt + 1, ..batch }];
        self.inner.step(Some(&Commit { posts, ..Commit::new(token) }), &[]).map(|_| ())
    }
}

#[test]
fn interruptions_without_an_end_are_found() {
    let rule = "a task that is interrupted for ever is dead";
    fails::<Patient>("interruptions_have_an_end", rule);
}

/// Computes what is left instead of counting it.
struct Bookkeeper(Arc<MemoryBroker>);

impl Twist for Bookkeeper {
    fn new(made: Inner) -> Self {
        Self(made.broker())
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        Arc::clone(&self.0)
    }

    fn outcome(&self) -> Result<Outcome, BrokerError> {
        let outcome = self.0.outcome()?;
        let ended = outcome.labels.iter().map(|it| it.finished + it.dead).sum::<u64>();
        let left = outcome.posted.saturating_sub(ended + outcome.crashed);
        Ok(Outcome { left, ..outcome })
    }
}

#[test]
fn a_remainder_in_place_of_a_count_is_found() {
    let rule = "queued tasks are left";
    fails::<Bookkeeper>("what_is_left_is_counted", rule);
}

#[test]
fn poison_among_others_is_found() {
    let rule = "tasks that have killed a worker come back one by one";
    fails::<Pieces<2>>("crashed_tasks_come_back_one_by_one", rule);
    fails::<Pieces<{ usize::MAX }>>("poison_dies_alone", "a task that kills its workers dies");
}

/// Lets the lock go before the commit: to one who asks for the second time.
struct HastyLock {
    inner: Arc<MemoryBroker>,
    asked: Mutex<HashSet<Token>>,
}

impl Twist for HastyLock {
    fn new(made: Inner) -> Self {
        Self { inner: made.broker(), asked: Mutex::default() }
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.inner.clone()
    }

    fn lock(&self, token: Token) -> Result<Lock, BrokerError> {
        let lock = self.inner.lock(token)?;
        let again = lock == Lock::Busy && !self.asked.lock().unwrap().insert(token);
        Ok(if again { Lock::Held } else { lock })
    }
}

/// Lets others write what was read under the lock.
struct LooseLock(Arc<MemoryBroker>);

impl Twist for LooseLock {
    fn new(made: Inner) -> Self {
        Self(made.broker())
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.0.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let step = self.0.step(commit, want)?;
        match (&step, commit) {
            (Step::Conflict(Conflict { entries, locked: true }), Some(commit))
                if entries.is_empty() =>
            {
                let writes = Vec::new();
                self.0.step(Some(&Commit { writes, ..commit.clone() }), want)
            }
            _ => Ok(step),
        }
    }
}

#[test]
fn a_lock_that_falls_before_the_commit_is_found() {
    let rule = "the lock is held until the commit";
    fails::<HastyLock>("the_lock_is_held_until_the_commit", rule);
    let rule = "what the holder has read is not written by others";
    fails::<LooseLock>("read_entries_wait_for_the_lock", rule);
}

/// Takes every lease that is given back for one that has crashed.
struct Suspicious(Arc<MemoryBroker>);

impl Twist for Suspicious {
    fn new(made: Inner) -> Self {
        Self(made.broker())
    }

    fn inner(&self) -> Arc<MemoryBroker> {
        self.0.clone()
    }

    fn release(&self, token: Token, _: Release) -> Result<(), BrokerError> {
        self.0.release(token, Release::Crashed)
    }
}

#[test]
fn unstarted_leases_that_count_as_crashed_are_found() {
    let rule = "what was not started comes back as it was";
    fails::<Suspicious>("unstarted_leases_come_back_as_they_were", rule);
}

#[test]
fn random_histories_find_them_too() {
    fn fails_by_chance<T: Twist>() {
        let rule = "each answer of a broker is that of the model";
        fails::<T>("random_histories_agree_with_the_model", rule);
    }
    fails_by_chance::<Numbered>();
    fails_by_chance::<Pieces<2>>();
    fails_by_chance::<HastyLock>();
    fails_by_chance::<LooseLock>();
    fails_by_chance::<Suspicious>();
}
