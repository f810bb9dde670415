//! Brokers that misjudge what kills workers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::twist::*;

/// What comes back of a lease, if it is not what the contract says.
type Judge = fn(&Batch, Release) -> Option<Vec<Batch>>;

/// Gives leases back as it thinks right.
pub(crate) struct Judging<J = Judge> {
    inner: Memory,
    batches: Batches,
    returned: AtomicU64,
    judge: J,
}

impl<J> Judging<J> {
    pub(crate) fn new(judge: J, made: &Inner) -> Self {
        Self {
            inner: made.broker(),
            batches: Batches::default(),
            returned: AtomicU64::new(0),
            judge,
        }
    }
}

impl<J> Twist for Judging<J>
where
    J: Fn(&Batch, Release) -> Option<Vec<Batch>> + Send + Sync + 'static,
{
    fn inner(&self) -> Memory {
        Arc::clone(&self.inner)
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let step = self.inner.step(commit, want)?;
        self.batches.note(&step);
        if let Some(kept) = commit.and_then(|commit| commit.successor.clone()) {
            self.batches.note(&Step::Leased(vec![kept], 0));
        }
        Ok(step)
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        let batch = self.batches.remove(token);
        match batch.and_then(|batch| (self.judge)(&batch, why)) {
            Some(posts) => {
                let returned = u64::from(why != Release::Unstarted);
                self.returned.fetch_add(returned, Ordering::SeqCst);
                let commit = Commit { posts, ..Commit::new(token) };
                self.inner.step(Some(&commit), &[]).map(|_| ())
            }
            None => self.inner.release(token, why),
        }
    }

    fn outcome(&self) -> Result<Outcome, BrokerError> {
        let mut outcome = self.inner.outcome()?;
        outcome.returned += self.returned.load(Ordering::SeqCst);
        Ok(outcome)
    }
}

fn judging_fails(name: &str, rule: &str, judge: Judge) {
    fails(name, rule, move |made| Judging::new(judge, &made));
}

type Judges = Box<dyn Fn(&Batch, Release) -> Option<Vec<Batch>> + Send + Sync>;

/// Brokers that give back what has killed a worker in pieces of so many tasks.
pub(crate) fn in_pieces(length: usize) -> impl Fn(Inner) -> Judging<Judges> + Send + Sync + Clone {
    move |made| {
        let judge: Judges = Box::new(move |batch, why| pieces(length, batch, why));
        Judging::new(judge, &made)
    }
}

fn pieces(length: usize, batch: &Batch, why: Release) -> Option<Vec<Batch>> {
    if why != Release::Crashed || batch.tasks.len() < 2 {
        return None;
    }
    let tasks: Vec<_> = batch.tasks.iter().map(Result::unwrap).collect();
    let piece = |tasks: &[&[u8]]| {
        let tasks = batch_of(tasks);
        Batch { attempt: batch.attempt + 1, suspect: true, tasks, ..batch.clone() }
    };
    Some(tasks.chunks(length).map(piece).collect())
}

#[test]
fn poison_among_others_is_found() {
    let rule = "tasks that have killed a worker come back one by one";
    fails("crashed_tasks_come_back_one_by_one", rule, in_pieces(2));
    fails("poison_dies_alone", "a task that kills its workers dies", in_pieces(usize::MAX));
}

#[test]
fn suspects_of_another_priority_are_found() {
    let rule = "tasks that have killed a worker come back one by one";
    judging_fails("crashed_tasks_come_back_one_by_one", rule, |batch, why| {
        let mut singles = pieces(1, batch, why)?;
        for single in &mut singles {
            if single.priority == Priority::Low {
                single.priority = Priority::Normal;
            }
        }
        Some(singles)
    });
}

/// Takes for a reason what it is not told.
struct Mistaken {
    inner: Memory,
    takes: fn(Release) -> Release,
}

impl Twist for Mistaken {
    fn inner(&self) -> Memory {
        Arc::clone(&self.inner)
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        self.inner.release(token, (self.takes)(why))
    }
}

#[test]
fn charges_for_interruptions_are_found() {
    let rule = "an interruption says nothing about its tasks";
    fails("interruptions_charge_no_task", rule, |made| Mistaken {
        inner: made.broker(),
        takes: |why| if why == Release::Interrupted { Release::Crashed } else { why },
    });
}

/// A broker that takes every lease that is given back for one that has crashed.
pub(crate) fn suspicious(made: Inner) -> impl Twist {
    Mistaken { inner: made.broker(), takes: |_| Release::Crashed }
}

#[test]
fn unstarted_leases_that_count_as_crashed_are_found() {
    let rule = "what was not started comes back as it was";
    fails("unstarted_leases_come_back_as_they_were", rule, suspicious);
}

#[test]
fn interruptions_without_an_end_are_found() {
    let rule = "a task that is interrupted for ever is dead";
    judging_fails("interruptions_have_an_end", rule, |batch, why| {
        let patient = why == Release::Interrupted && batch.interruptions > 15;
        patient.then(|| vec![Batch { attempt: batch.attempt + 1, ..batch.clone() }])
    });
}

#[test]
fn interruptions_that_acquit_are_found() {
    let rule = "an interruption says nothing about its tasks";
    judging_fails("interruptions_charge_no_task", rule, |batch, why| {
        let (attempt, interruptions) = (batch.attempt + 1, batch.interruptions + 1);
        let acquitted = Batch { attempt, interruptions, crashes: 0, ..batch.clone() };
        (why == Release::Interrupted).then(|| vec![acquitted])
    });
}

#[test]
fn unstarted_leases_that_acquit_are_found() {
    let rule = "what a commit keeps is known as it was";
    let judges: [Judge; 3] = [
        |batch, why| acquit(batch, why, |batch| batch.crashes = 0),
        |batch, why| acquit(batch, why, |batch| batch.suspect = false),
        |batch, why| acquit(batch, why, |batch| batch.interruptions = 0),
    ];
    for judge in judges {
        judging_fails("attempts_and_suspicions_travel", rule, judge);
    }
}

fn acquit(batch: &Batch, why: Release, forget: fn(&mut Batch)) -> Option<Vec<Batch>> {
    let mut batch = batch.clone();
    forget(&mut batch);
    (why == Release::Unstarted).then(|| vec![batch])
}

#[test]
fn commits_that_acquit_are_found() {
    let forgets: [fn(&mut Batch); 4] = [
        |batch| batch.attempt = 0,
        |batch| batch.suspect = false,
        |batch| batch.crashes = 0,
        |batch| batch.interruptions = 0,
    ];
    for forget in forgets {
        let name = "attempts_and_suspicions_travel";
        let rule = "what a commit posts is known as it was";
        fails_edited(name, rule, move |commit| commit.posts.iter_mut().for_each(forget));
        let rule = "what a commit keeps is known as it was";
        fails_edited(name, rule, move |commit| {
            commit.successor.iter_mut().for_each(|kept| forget(&mut kept.batch));
        });
    }
}
