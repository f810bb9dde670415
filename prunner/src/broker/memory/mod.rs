//! The broker in memory: for workers of one program, in its parent.

mod entries;
mod leases;
mod ledger;
mod queue;
mod state;

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

// Not by way of `crate::sync`: no model runs a broker, and loom has no waiting with a limit.
use parking_lot::{Condvar, Mutex};

use self::state::State;
use super::{
    Batch, Broker, BrokerError, Commit, Lock, Outcome, Read, Release, Status, Step, Token,
};
use crate::Order;

/// A clock that never goes back.
///
/// One for tests, which only they set:
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// use prunner::Order;
/// use prunner::broker::{Batch, Broker, Clock, MemoryBroker, Step, Tasks, Token};
///
/// #[derive(Default)]
/// struct TestClock(Mutex<Duration>);
///
/// impl Clock for TestClock {
///     fn now(&self) -> Duration {
///         *self.0.lock().unwrap()
///     }
/// }
///
/// let clock = Arc::new(TestClock::default());
/// let first = Batch { tasks: Tasks::one(b"a task"), ..Batch::default() };
/// let broker = MemoryBroker::new(Duration::from_secs(30), Order::Lifo, vec![first]);
/// let broker = broker.with_clock(clock.clone());
/// let token = Token::random();
/// assert!(matches!(broker.step(None, &[token])?, Step::Leased(..)));
/// *clock.0.lock().unwrap() += Duration::from_secs(31);
/// assert_eq!(broker.renew(&[token])?, [token], "the lease is gone");
/// # Ok::<_, prunner::broker::BrokerError>(())
/// ```
pub trait Clock: Send + Sync {
    /// The time since some fixed moment.
    fn now(&self) -> Duration;
}

/// The machine's monotonic clock.
///
/// ```
/// use prunner::broker::{Clock, Monotonic};
///
/// let before = Monotonic.now();
/// assert!(Monotonic.now() >= before);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    fn now(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// A broker that keeps everything in memory, behind one lock.
///
/// Within a priority batches are leased in its [`Order`]: newest first, or oldest first. What comes back
/// [unstarted](Release::Unstarted) or [interrupted](Release::Interrupted) is the next to be leased. What
/// comes back from a crash waits behind all others of its priority, so that a task that kills its workers
/// holds up no other; such suspects are judged one after the other: one that has crashed again is the
/// next of them.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use prunner::Order;
/// use prunner::broker::{Batch, Broker, Commit, MemoryBroker, Monotonic, Step, Tasks, Token};
///
/// let batch = Batch { tasks: Tasks::one(b"a task"), ..Batch::default() };
/// let broker = MemoryBroker::new(Duration::from_secs(30), Order::Lifo, vec![batch.clone()]);
/// // The clock that it has in any case.
/// let broker = broker.with_clock(Arc::new(Monotonic)).with_max_interruptions(20);
/// let token = Token::random();
/// let Step::Leased(leases, 0) = broker.step(None, &[token])? else { panic!("there is a batch") };
/// assert_eq!(leases[0].batch, batch);
/// assert_eq!(broker.step(Some(&Commit::new(token)), &[Token::random()])?, Step::Done);
/// # Ok::<_, prunner::broker::BrokerError>(())
/// ```
pub struct MemoryBroker {
    state: Mutex<State>,
    changed: Condvar,
    clock: Arc<dyn Clock>,
}

impl MemoryBroker {
    /// A broker whose leases last for `lease` unless they are renewed, with the batches that a run
    /// begins with.
    ///
    /// A first batch may be without tasks: its lease stands for what posts the first ones.
    pub fn new(lease: Duration, order: Order, first: Vec<Batch>) -> Self {
        let state = Mutex::new(State::new(lease, order, first));
        Self { state, changed: Condvar::new(), clock: Arc::new(Monotonic) }
    }

    /// Measures the time of leases by `clock`. To be called before the first lease is taken.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Lets a task be [interrupted](Release::Interrupted) so often;
    /// [`MOST_INTERRUPTIONS`](super::MOST_INTERRUPTIONS) otherwise.
    /// `u32::MAX` is no limit.
    #[must_use]
    pub fn with_max_interruptions(self, most: u32) -> Self {
        self.state.lock().allow_interruptions(most);
        self
    }

    /// Does `act` on what is true now, and wakes those who watch if that has changed it.
    fn act<O>(&self, act: impl FnOnce(&mut State) -> O) -> O {
        let mut state = self.state.lock();
        // Under the lock, so that the time that the state sees never goes back.
        state.pass_to(self.clock.now());
        let answer = act(&mut state);
        self.tell_of_changes(&mut state);
        answer
    }

    fn tell_of_changes(&self, state: &mut State) {
        if state.note_change() {
            self.changed.notify_all();
        }
    }
}

impl Broker for MemoryBroker {
    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        self.act(|state| state.step(commit, want))
    }

    fn lock(&self, token: Token) -> Result<Lock, BrokerError> {
        Ok(self.act(|state| state.lock(token)))
    }

    fn read(&self, token: Token, key: &str, known: u64) -> Result<Read, BrokerError> {
        Ok(self.act(|state| state.read(token, key, known)))
    }

    fn renew(&self, tokens: &[Token]) -> Result<Vec<Token>, BrokerError> {
        Ok(self.act(|state| state.renew(tokens)))
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        self.act(|state| state.release(token, why));
        Ok(())
    }

    /// The patience goes by the machine's clock, only leases by [another](MemoryBroker::with_clock).
    fn watch(&self, seen: u64, patience: Duration) -> Result<Status, BrokerError> {
        let asked = Instant::now();
        let mut state = self.state.lock();
        loop {
            let now = self.clock.now();
            state.pass_to(now);
            self.tell_of_changes(&mut state);
            let watched = state.watched();
            let left = patience.saturating_sub(asked.elapsed());
            if watched.seen != seen || left.is_zero() {
                return Ok(watched);
            }
            let lease_ends = state.next_expiry().saturating_sub(now);
            self.changed.wait_for(&mut state, left.min(lease_ends));
        }
    }

    fn outcome(&self) -> Result<Outcome, BrokerError> {
        Ok(self.act(|state| state.outcome()))
    }

    fn describe(&self) -> String {
        self.state.lock().describe()
    }
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watched = self.state.lock().watched();
        f.debug_tuple("MemoryBroker").field(&watched).finish()
    }
}

#[cfg(test)]
mod tests;
