//! Brokers whose commits are not whole, or count more than once.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{own_leases::OwnLease, twist::*};

/// Answers a commit before it is safe: a crash right afterwards takes it back.
struct Forgetful {
    made: Inner,
    broker: Mutex<Memory>,
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

impl Forgetful {
    pub(crate) fn new(made: Inner) -> Self {
        Self { broker: Mutex::new(made.broker()), made, log: Mutex::default() }
    }
}

impl Twist for Forgetful {
    fn inner(&self) -> Memory {
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
    fails("answered_commits_stay", "a commit that was answered stays", Forgetful::new);
}

/// What a broker does that has a lease of its own, under which it can commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// What is left of a commit in conflict is applied: its posts, its counts, and the writes that fit.
    Half,
    /// What is sent again is applied again.
    Twice,
    /// What is sent again is applied again if another commit has come between.
    TwiceAfterAnother,
    /// The same, but only the writes.
    WritesTwiceAfterAnother,
    /// The same after a hundred others: no token is known for ever.
    TwiceAfterMany,
    /// What is sent again is applied again while the lease that it has kept is out.
    TwiceWhileKept,
    /// Of two equal commits at the same time both are applied.
    TwiceAtOnce,
}

/// A broker that does one [`Deed`].
struct Sly {
    deed: Deed,
    inner: Memory,
    own: OwnLease,
    applied: Mutex<Vec<Token>>,
}

impl Sly {
    fn new(deed: Deed, mut made: Inner) -> Self {
        OwnLease::prepare(&mut made);
        let inner = made.broker();
        Self { deed, own: OwnLease::take(&inner), inner, applied: Mutex::default() }
    }

    /// The commit was applied before, and has come again.
    fn come_again(&self, commit: &Commit) {
        let applied = self.applied.lock().unwrap();
        let Some(at) = applied.iter().position(|&token| token == commit.token) else { return };
        let since = applied.len() - at - 1;
        let kept = commit.successor.as_ref().map(|kept| kept.token);
        let counts = match self.deed {
            Deed::Twice => true,
            Deed::TwiceAfterAnother => since > 0,
            Deed::TwiceAfterMany => since > 100,
            Deed::TwiceWhileKept => kept.is_some_and(|kept| holds(&self.inner, kept)),
            _ => false,
        };
        if counts {
            self.own.commit(Commit { writes: Vec::new(), ..commit.clone() });
        }
        if self.deed == Deed::WritesTwiceAfterAnother && since > 0 {
            self.own.write(&commit.writes);
        }
    }

    /// What is left of a commit in conflict.
    fn apply_half(&self, commit: &Commit, conflict: &Conflict) {
        let mut half = commit.clone();
        half.writes.retain(|write| conflict.entries.iter().all(|entry| entry.key != write.key));
        self.own.commit(half);
    }
}

impl Twist for Sly {
    fn inner(&self) -> Memory {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let Some(commit) = commit else { return self.inner.step(None, want) };
        let looked_good = self.deed == Deed::TwiceAtOnce && holds(&self.inner, commit.token);
        if looked_good {
            linger();
        }
        let step = self.inner.step(Some(commit), want)?;
        match &step {
            Step::Lost if looked_good => {
                self.own.commit(commit.clone());
                return Ok(Step::Empty(0));
            }
            Step::Lost => self.come_again(commit),
            Step::Conflict(conflict) if self.deed == Deed::Half => {
                self.apply_half(commit, conflict);
            }
            Step::Conflict(_) => {}
            _ => self.applied.lock().unwrap().push(commit.token),
        }
        Ok(step)
    }
}

fn sly_fails(deed: Deed, name: &str, rule: &str) {
    fails(name, rule, move |made| Sly::new(deed, made));
}

#[test]
fn half_a_commit_is_found() {
    let rule = "a commit in conflict writes and counts nothing";
    sly_fails(Deed::Half, "conflicts_change_nothing", rule);
}

#[test]
fn a_commit_that_counts_twice_is_found() {
    sly_fails(Deed::Twice, "commits_count_once", "a commit counts once");
    let rule = "a commit that keeps its lease counts once";
    sly_fails(Deed::TwiceWhileKept, "kept_leases_go_on", rule);
}

#[test]
fn a_commit_that_is_forgotten_is_found() {
    let later = [Deed::TwiceAfterAnother, Deed::WritesTwiceAfterAnother, Deed::TwiceAfterMany];
    for deed in later {
        let rule = "a commit that is sent again much later does nothing";
        sly_fails(deed, "a_commit_sent_again_much_later_is_lost", rule);
    }
}

#[test]
fn equal_commits_that_both_count_are_found() {
    let rule = "of two equal commits at the same time one is lost";
    sly_fails(Deed::TwiceAtOnce, "equal_commits_at_the_same_time_count_once", rule);
}

/// Compares versions before it writes, and then writes over what has come between.
struct Unlocked(Memory);

impl Unlocked {
    /// The version of an entry now; none if the lease is gone.
    fn version(&self, token: Token, key: &str) -> Option<u64> {
        match self.0.read(token, key, 0).unwrap() {
            Read::Entry(entry) => Some(entry.version),
            Read::Unchanged | Read::Lost => None,
        }
    }
}

impl Twist for Unlocked {
    fn inner(&self) -> Memory {
        self.0.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let Some(commit) = commit else { return self.0.step(None, want) };
        let fits = |write: &Write| self.version(commit.token, &write.key) == Some(write.version);
        if !commit.writes.iter().all(fits) {
            return self.0.step(Some(commit), want);
        }
        linger();
        let mut commit = commit.clone();
        loop {
            for write in &mut commit.writes {
                let now = self.version(commit.token, &write.key);
                write.version = now.unwrap_or(write.version);
            }
            let step = self.0.step(Some(&commit), want)?;
            if !matches!(step, Step::Conflict(_)) {
                return Ok(step);
            }
        }
    }
}

#[test]
fn versions_that_are_compared_too_early_are_found() {
    let rule = "writes at the same time are all kept";
    let name = "writes_at_the_same_time_are_all_kept";
    fails(name, rule, |made| Unlocked(made.broker()));
}

/// Counts what is posted in two steps: it reads the sum, and then writes a larger one.
struct Miscounting {
    inner: Memory,
    posted: AtomicU64,
}

impl Twist for Miscounting {
    fn inner(&self) -> Memory {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let step = self.inner.step(commit, want)?;
        if let Some(commit) = commit
            && !matches!(step, Step::Lost | Step::Conflict(_))
        {
            let posted = self.posted.load(Ordering::SeqCst);
            linger();
            self.posted.store(posted + commit.posted, Ordering::SeqCst);
        }
        Ok(step)
    }

    fn outcome(&self) -> Result<Outcome, BrokerError> {
        let posted = self.posted.load(Ordering::SeqCst);
        Ok(Outcome { posted, ..self.inner.outcome()? })
    }
}

#[test]
fn counts_that_overtake_each_other_are_found() {
    let rule = "what is counted at the same time adds up";
    fails("what_many_do_at_once_adds_up", rule, |made| Miscounting {
        inner: made.broker(),
        posted: AtomicU64::new(0),
    });
}

/// Leases batches to one whose commit it refuses.
struct Generous {
    inner: Memory,
    to_conflicts: bool,
}

impl Twist for Generous {
    fn inner(&self) -> Memory {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let step = self.inner.step(commit, want)?;
        let refused = match step {
            Step::Lost => !self.to_conflicts,
            Step::Conflict(_) => self.to_conflicts,
            _ => false,
        };
        if refused {
            self.inner.step(None, want)?;
        }
        Ok(step)
    }
}

#[test]
fn leases_for_refused_commits_are_found() {
    let generous =
        |to_conflicts| move |made: Inner| Generous { inner: made.broker(), to_conflicts };
    let rule = "a commit that is lost leases nothing";
    fails("a_commit_sent_again_much_later_is_lost", rule, generous(false));
    let rule = "a commit in conflict leases nothing";
    fails("a_conflict_keeps_the_lock", rule, generous(true));
}

/// Takes an entry that was taken out for one that cannot be written again.
struct Stubborn(Memory);

impl Twist for Stubborn {
    fn inner(&self) -> Memory {
        self.0.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let mut commit = commit.cloned();
        if let Some(commit) = &mut commit {
            let token = commit.token;
            for write in commit.writes.iter_mut().filter(|write| write.version > 0) {
                if let Read::Entry(Entry { value: None, .. }) = self.0.read(token, &write.key, 0)? {
                    write.value = None;
                }
            }
        }
        self.0.step(commit.as_ref(), want)
    }
}

#[test]
fn entries_that_never_come_back_are_found() {
    let rule = "each write is one version";
    fails("versions_only_grow", rule, |made| Stubborn(made.broker()));
}
