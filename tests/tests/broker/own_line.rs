//! Brokers that keep the line for the lock themselves.

use super::twist::*;

/// What is wrong with the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Of two that ask at the same time both get it.
    GivenTwice,
    /// A conflict of its holder frees it.
    FreedByConflict,
    /// After a conflict of its holder others write what the holder has read.
    UnpinnedByConflict,
    /// The commit of its holder, sent again after a conflict, loses what was read under the lock.
    WritesLostAfterConflict,
    /// A commit that keeps its lease sends all away who wait.
    LineForgotten,
    /// Who leaves the line takes the next one along.
    NextLeavesToo,
    /// A release under any token frees it.
    FreedByStrangers,
    /// What was read under it cannot be written after its holder was lost.
    PinnedForEver,
}

/// A broker in front of one whose lock is never asked for.
struct OwnLine {
    flaw: Flaw,
    inner: Memory,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    /// The holder first.
    tokens: VecDeque<Token>,
    /// What the holder has read.
    pinned: HashSet<String>,
    /// Whose commit was a conflict.
    conflicted: HashSet<Token>,
}

impl OwnLine {
    fn new(flaw: Flaw, made: &Inner) -> Self {
        Self { flaw, inner: made.broker(), line: Mutex::default() }
    }

    fn leave(&self, line: &mut Line, token: Token, committed: bool) {
        let Some(at) = line.tokens.iter().position(|&it| it == token) else { return };
        line.tokens.remove(at);
        if at == 0 && (committed || self.flaw != Flaw::PinnedForEver) {
            line.pinned.clear();
        }
        if at > 0 && self.flaw == Flaw::NextLeavesToo {
            line.tokens.remove(at);
        }
    }

    /// Lets those leave whose leases have ended without a commit.
    fn clear(&self, line: &mut Line) {
        let gone = line.tokens.iter().copied().filter(|&token| !holds(&self.inner, token));
        for token in gone.collect::<Vec<_>>() {
            self.leave(line, token, false);
        }
    }

    /// The entries that have changed since `commit` has read them.
    fn stale(&self, commit: &Commit) -> Vec<Entry> {
        let now = commit.writes.iter().filter_map(|write| {
            match self.inner.read(commit.token, &write.key, 0).unwrap() {
                Read::Entry(entry) if entry.version != write.version => Some(entry),
                _ => None,
            }
        });
        now.collect()
    }

    fn commit(&self, line: &mut Line, commit: &Commit, want: &[Token]) -> Step {
        self.clear(line);
        let token = commit.token;
        let mine = line.tokens.front() == Some(&token);
        let is_pinned = |write: &Write| line.pinned.contains(&write.key);
        if !mine && holds(&self.inner, token) && commit.writes.iter().any(is_pinned) {
            return Step::Conflict(Conflict { entries: self.stale(commit), locked: true });
        }
        let mut commit = commit.clone();
        if line.conflicted.contains(&token) && self.flaw == Flaw::WritesLostAfterConflict {
            commit.writes.retain(|write| !line.pinned.contains(&write.key));
        }
        let step = self.inner.step(Some(&commit), want).unwrap();
        match step {
            Step::Lost => {}
            Step::Conflict(_) => {
                line.conflicted.insert(token);
                if mine {
                    self.conflict(line, token);
                }
            }
            _ => {
                if commit.successor.is_some() && self.flaw == Flaw::LineForgotten {
                    line.tokens.truncate(1);
                }
                self.leave(line, token, true);
            }
        }
        step
    }

    /// The commit of the holder was a conflict.
    fn conflict(&self, line: &mut Line, holder: Token) {
        match self.flaw {
            Flaw::FreedByConflict => self.leave(line, holder, true),
            Flaw::UnpinnedByConflict => line.pinned.clear(),
            _ => {}
        }
    }
}

impl Twist for OwnLine {
    fn inner(&self) -> Memory {
        Arc::clone(&self.inner)
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        match commit {
            Some(commit) => Ok(self.commit(&mut self.line.lock().unwrap(), commit, want)),
            None => self.inner.step(None, want),
        }
    }

    fn lock(&self, token: Token) -> Result<Lock, BrokerError> {
        let looked_free = self.line.lock().unwrap().tokens.is_empty();
        if self.flaw == Flaw::GivenTwice && looked_free {
            linger();
        }
        let mut line = self.line.lock().unwrap();
        self.clear(&mut line);
        if !holds(&self.inner, token) {
            return Ok(Lock::Lost);
        }
        if !line.tokens.contains(&token) {
            line.tokens.push_back(token);
        }
        let given = line.tokens[0] == token || (self.flaw == Flaw::GivenTwice && looked_free);
        Ok(if given { Lock::Held } else { Lock::Busy })
    }

    fn read(&self, token: Token, key: &str, known: u64) -> Result<Read, BrokerError> {
        let mut line = self.line.lock().unwrap();
        self.clear(&mut line);
        if line.tokens.front() == Some(&token) {
            line.pinned.insert(key.to_owned());
        }
        self.inner.read(token, key, known)
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        let mut line = self.line.lock().unwrap();
        self.clear(&mut line);
        if self.flaw == Flaw::FreedByStrangers && !holds(&self.inner, token) {
            line.tokens.pop_front();
        }
        self.inner.release(token, why)?;
        self.clear(&mut line);
        Ok(())
    }

    fn watch(&self, seen: u64, patience: Duration) -> Result<Status, BrokerError> {
        let status = self.inner.watch(seen, patience)?;
        let mut line = self.line.lock().unwrap();
        self.clear(&mut line);
        Ok(Status { lock_waiting: line.tokens.len().saturating_sub(1), ..status })
    }
}

fn line_fails(flaw: Flaw, name: &str, rule: &str) {
    fails(name, rule, move |made| OwnLine::new(flaw, &made));
}

// Not among them is `the_lock_excludes`, which is slow here: nobody is woken by this lock.
#[test]
fn without_a_flaw_the_lock_is_as_it_should_be() {
    let names = [
        "a_conflict_keeps_the_lock",
        "gone_leases_neither_lock_nor_read",
        "read_entries_wait_for_the_lock",
        "the_line_for_the_lock_keeps_its_order",
        "the_lock_is_freed_with_its_lease",
        "the_lock_is_given_in_turn",
        "the_lock_is_held_until_the_commit",
    ];
    for name in names {
        let verdict = verdict(name, &twisted(|made| OwnLine::new(Flaw::None, &made)));
        assert_eq!(verdict, None, "{name}");
    }
}

#[test]
fn a_lock_that_two_hold_is_found() {
    line_fails(Flaw::GivenTwice, "the_lock_excludes", "one lease at a time holds the lock");
}

#[test]
fn conflicts_that_change_the_lock_are_found() {
    let flaws = [
        (Flaw::FreedByConflict, "a conflict keeps the lock"),
        (Flaw::UnpinnedByConflict, "a conflict keeps what was read under the lock"),
        (Flaw::WritesLostAfterConflict, "a commit that was mended is applied whole"),
    ];
    for (flaw, rule) in flaws {
        line_fails(flaw, "a_conflict_keeps_the_lock", rule);
    }
}

#[test]
fn lines_for_the_lock_that_lose_somebody_are_found() {
    for flaw in [Flaw::LineForgotten, Flaw::NextLeavesToo] {
        let rule = "who leaves the line for the lock leaves alone";
        line_fails(flaw, "the_line_for_the_lock_keeps_its_order", rule);
    }
}

#[test]
fn a_lock_that_strangers_free_is_found() {
    let rule = "a lease that is gone frees no lock";
    line_fails(Flaw::FreedByStrangers, "gone_leases_neither_lock_nor_read", rule);
}

#[test]
fn a_lock_that_outlives_its_holder_is_found() {
    let rule = "what was read under the lock is free after it";
    line_fails(Flaw::PinnedForEver, "the_lock_is_freed_with_its_lease", rule);
}
