//! Brokers that let those wait who should not, and one that answers nothing at all.

use std::time::Instant;

use super::twist::*;

/// Looks for expired leases before it waits, and not again.
struct Blind {
    inner: Memory,
    /// The time as the broker behind knows it.
    known: Arc<TestClock>,
    clock: Arc<TestClock>,
}

impl Blind {
    fn new(made: Inner) -> Self {
        let known = Arc::<TestClock>::default();
        Self { inner: made.on_clock(Arc::clone(&known)), known, clock: made.clock }
    }
}

impl Twist for Blind {
    fn inner(&self) -> Memory {
        self.known.set(self.clock.now());
        Arc::clone(&self.inner)
    }
}

#[test]
fn who_watches_without_a_look_at_the_time_is_found() {
    let rule = "who watches sees what has expired";
    fails("who_watches_sees_what_expires", rule, Blind::new);
}

/// Does not take it for a change when the lock goes from one to another.
struct Indifferent {
    inner: Memory,
    shown: Mutex<HashMap<u64, Status>>,
}

impl Twist for Indifferent {
    fn inner(&self) -> Memory {
        Arc::clone(&self.inner)
    }

    fn watch(&self, seen: u64, patience: Duration) -> Result<Status, BrokerError> {
        let asked = Instant::now();
        let before = self.shown.lock().unwrap().get(&seen).copied();
        let handed_on = |now: Status| {
            before.is_some_and(|before| {
                let left = Status { lock_waiting: now.lock_waiting + 1, seen, ..now };
                now.lock_waiting == 0 && left == before
            })
        };
        let mut known = seen;
        loop {
            let left = patience.saturating_sub(asked.elapsed());
            let now = self.inner.watch(known, left)?;
            if now.seen == known || !handed_on(now) {
                self.shown.lock().unwrap().insert(now.seen, now);
                return Ok(now);
            }
            known = now.seen;
        }
    }
}

#[test]
fn a_lock_that_goes_on_unseen_is_found() {
    let rule = "who watches is woken by a lock";
    fails_in_vain("who_watches_is_woken", rule, |made| Indifferent {
        inner: made.broker(),
        shown: Mutex::default(),
    });
}

/// Looks, and then waits for what comes after a change that it has not seen.
struct Late(Memory);

impl Twist for Late {
    fn inner(&self) -> Memory {
        Arc::clone(&self.0)
    }

    fn watch(&self, seen: u64, patience: Duration) -> Result<Status, BrokerError> {
        let now = self.0.watch(0, Duration::ZERO)?;
        if patience.is_zero() || now.seen != seen {
            return Ok(now);
        }
        // Somebody else acts between the look and the wait.
        let between = self.0.watch(seen, patience)?;
        self.0.watch(between.seen, patience)
    }
}

#[test]
fn a_wait_after_the_change_is_found() {
    let rule = "who watches is woken by";
    fails_in_vain("who_watches_is_woken", rule, |made| Late(made.broker()));
}

/// Answers nobody who asks for the lock before it is free.
struct Silent(Memory);

impl Twist for Silent {
    fn inner(&self) -> Memory {
        Arc::clone(&self.0)
    }

    fn lock(&self, token: Token) -> Result<Lock, BrokerError> {
        loop {
            let seen = self.0.watch(0, Duration::ZERO)?.seen;
            match self.0.lock(token)? {
                Lock::Busy => self.0.watch(seen, Duration::from_secs(60))?,
                lock => return Ok(lock),
            };
        }
    }
}

#[test]
fn a_broker_that_does_not_answer_is_found() {
    let rule = "the_lock_is_given_in_turn hangs";
    fails_in_vain("the_lock_is_given_in_turn", rule, |made| Silent(made.broker()));
}
