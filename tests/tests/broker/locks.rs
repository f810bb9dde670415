//! Brokers whose lock does not exclude, or forgets who waits.

use super::twist::*;

/// Lets the lock go before the commit: to one who asks for the second time.
pub(crate) struct HastyLock {
    inner: Memory,
    asked: Mutex<HashSet<Token>>,
}

impl HastyLock {
    pub(crate) fn new(made: Inner) -> Self {
        Self { inner: made.broker(), asked: Mutex::default() }
    }
}

impl Twist for HastyLock {
    fn inner(&self) -> Memory {
        self.inner.clone()
    }

    fn lock(&self, token: Token) -> Result<Lock, BrokerError> {
        let lock = self.inner.lock(token)?;
        let again = lock == Lock::Busy && !self.asked.lock().unwrap().insert(token);
        Ok(if again { Lock::Held } else { lock })
    }
}

/// Lets others write what was read under the lock.
pub(crate) struct LooseLock(Memory);

impl LooseLock {
    pub(crate) fn new(made: Inner) -> Self {
        Self(made.broker())
    }
}

impl Twist for LooseLock {
    fn inner(&self) -> Memory {
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
    fails("the_lock_is_held_until_the_commit", rule, HastyLock::new);
    let rule = "what the holder has read is not written by others";
    fails("read_entries_wait_for_the_lock", rule, LooseLock::new);
}
