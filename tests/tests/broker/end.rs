//! Brokers that find the end too early.

use super::twist::*;

/// Commits and takes in two steps, and finds the end by two looks: is the queue empty, is a lease out.
struct TwoLooks {
    inner: Memory,
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

impl TwoLooks {
    pub(crate) fn new(made: Inner) -> Self {
        Self { inner: made.broker(), out: Mutex::default() }
    }
}

impl Twist for TwoLooks {
    fn inner(&self) -> Memory {
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
    fails("many_find_the_end_together", rule, TwoLooks::new);
}

/// Computes what is left instead of counting it.
struct Bookkeeper(Memory);

impl Bookkeeper {
    pub(crate) fn new(made: Inner) -> Self {
        Self(made.broker())
    }
}

impl Twist for Bookkeeper {
    fn inner(&self) -> Memory {
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
    fails("what_is_left_is_counted", rule, Bookkeeper::new);
}
