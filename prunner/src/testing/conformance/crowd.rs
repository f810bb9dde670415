//! What several threads do with one run, each by chance: in whatever order they come, it adds up.

use std::{
    ops::AddAssign,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    together::{Member, together},
    *,
};
use crate::broker::MOST_INTERRUPTIONS;

const MEMBERS: u32 = 4;
const RUNS: u64 = 20;

/// No task is posted any more when there were so many.
const TASKS: u64 = 300;

/// What several threads post, finish, merge, write under the lock and give back at the same time adds
/// up: nothing is lost, nothing is there twice, and all find the end when nothing is left.
pub(super) fn what_many_do_at_once_adds_up(make: Fresh<'_>) {
    for number in 0..RUNS {
        let tasks = Tally::default();
        let first: Vec<_> = (0..MEMBERS).map(|_| tasks.batch(2)).collect();
        let run = Run::new(make, first);
        let mut all = Notes::default();
        let seed = |member: &Member<'_>| number * u64::from(MEMBERS) + u64::from(member.number);
        together(&run, MEMBERS, |member| Worker::new(member, &tasks, seed(member)).work())
            .into_iter()
            .for_each(|notes| all += notes);
        all.finished.sort_unstable();
        let each_once: Vec<_> = (0..tasks.made.into_inner()).collect();
        assert_eq!(all.finished, each_once, "each task is leased until it is committed, once");
        let finished = all.finished.len() as u64;
        let sums = [("locked", all.locked), ("sum", finished)];
        let sums = sums.iter().filter(|(_, sum)| *sum > 0);
        let outcome = run.outcome();
        let found = outcome.entries.iter().map(|entry| (entry.key.as_str(), number_of(entry)));
        assert!(found.eq(sums.copied()), "what is written at the same time is all kept");
        let expected = Outcome {
            posted: all.posted,
            labels: vec![count("task", finished, 0)],
            returned: all.returned,
            entries: outcome.entries.clone(),
            ..Outcome::default()
        };
        assert_eq!(outcome, expected, "what is counted at the same time adds up");
    }
}

/// The tasks of a run: numbers, each another one.
#[derive(Default)]
struct Tally {
    made: AtomicU64,
    /// Counted before they are committed.
    ended: AtomicU64,
}

impl Tally {
    fn batch(&self, tasks: u64) -> Batch {
        let made = self.made.fetch_add(tasks, Ordering::SeqCst);
        let numbers: Vec<_> = (made..made + tasks).map(u64::to_le_bytes).collect();
        batch(&numbers.iter().map(|number| &number[..]).collect::<Vec<_>>())
    }
}

/// What the broker has answered to a member.
#[derive(Default)]
struct Notes {
    posted: u64,
    finished: Vec<u64>,
    /// Commits under the lock.
    locked: u64,
    returned: u64,
}

impl AddAssign for Notes {
    fn add_assign(&mut self, other: Self) {
        self.posted += other.posted;
        self.finished.extend(other.finished);
        self.locked += other.locked;
        self.returned += other.returned;
    }
}

/// Chances from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % bound
    }
}

struct Worker<'a> {
    member: &'a Member<'a>,
    tasks: &'a Tally,
    chance: Chance,
    notes: Notes,
    /// The entry that all write, as it was last seen.
    sum: Entry,
    /// A commit that was applied.
    applied: Option<Commit>,
}

impl<'a> Worker<'a> {
    fn new(member: &'a Member<'a>, tasks: &'a Tally, seed: u64) -> Self {
        let (chance, notes, sum) = (Chance(seed), Notes::default(), entry("sum", 0, None));
        Self { member, tasks, chance, notes, sum, applied: None }
    }

    /// Takes what there is until the end.
    fn work(mut self) -> Notes {
        loop {
            let seen = self.member.run.look().seen;
            match self.member.run.ask() {
                Step::Leased(leases, _) => {
                    leases.into_iter().for_each(|lease| self.take_up(lease));
                }
                Step::Empty(_) => self.member.wait(seen),
                Step::Done => {
                    let [made, ended] = [&self.tasks.made, &self.tasks.ended]
                        .map(|counter| counter.load(Ordering::SeqCst));
                    assert_eq!(made, ended, "the end is not found while something is left");
                    return self.notes;
                }
                step => panic!("who asks is not answered {step:?}"),
            }
        }
    }

    /// Commits what is in a lease, perhaps in parts, or gives it back.
    fn take_up(&mut self, lease: Lease) {
        let mut rest = Some(lease);
        while let Some(lease) = rest.take() {
            match self.chance.below(16) {
                0 | 1 => self.give_back(lease, Release::Unstarted),
                2 | 3 if lease.batch.interruptions < MOST_INTERRUPTIONS / 4 => {
                    self.give_back(lease, Release::Interrupted);
                }
                4 if !lease.batch.suspect => self.give_back(lease, Release::Crashed),
                _ => rest = self.commit(&lease),
            }
            self.send_again();
        }
    }

    fn give_back(&mut self, lease: Lease, why: Release) {
        self.member.run.release(lease.token, why);
        self.notes.returned += u64::from(why != Release::Unstarted);
    }

    /// Finishes some tasks of a lease and keeps the others.
    fn commit(&mut self, lease: &Lease) -> Option<Lease> {
        let all = tasks(&lease.batch);
        let finished = 1 + self.chance.below(all.len() as u64);
        let (done, left) = all.split_at(usize::try_from(finished).expect("a batch is small"));
        let left: Vec<_> = left.iter().map(Vec::as_slice).collect();
        let kept = Batch { tasks: batch(&left).tasks, ..lease.batch.clone() };
        let kept = (!left.is_empty()).then(|| Lease { token: Token::random(), batch: kept });
        let mut commit = Commit {
            successor: kept.clone(),
            posts: self.posts(),
            labels: vec![count("task", finished, 0)],
            ..Commit::new(lease.token)
        };
        commit.posted = commit.posts.iter().map(|batch| batch.tasks.len() as u64).sum();
        commit.writes.push(write("sum", 0, None));
        if self.chance.below(4) == 0 {
            commit.writes.push(self.write_under_the_lock(lease.token));
            self.notes.locked += 1;
        }
        self.tasks.ended.fetch_add(finished, Ordering::SeqCst);
        self.apply(&mut commit, finished);
        let number = |task: &Vec<u8>| task[..].try_into().expect("a task comes as it was posted");
        self.notes.finished.extend(done.iter().map(number).map(u64::from_le_bytes));
        self.notes.posted += commit.posted;
        self.applied = Some(commit);
        kept
    }

    fn posts(&mut self) -> Vec<Batch> {
        if self.tasks.made.load(Ordering::SeqCst) > TASKS {
            return Vec::new();
        }
        let batches = self.chance.below(3);
        (0..batches).map(|_| self.tasks.batch(1 + self.chance.below(3))).collect()
    }

    fn write_under_the_lock(&self, token: Token) -> Write {
        let run = &self.member.run;
        self.member.wait_for_the_lock(token);
        let Read::Entry(known) = run.read(token, "locked", 0) else {
            panic!("a lease in time reads")
        };
        let next = number_of(&known) + 1;
        write("locked", known.version, value(&next.to_string()))
    }

    /// Commits, with so much more in the sum, whatever others have added.
    fn apply(&mut self, commit: &mut Commit, more: u64) {
        loop {
            let next = value(&(number_of(&self.sum) + more).to_string());
            commit.writes[0] = write("sum", self.sum.version, next.clone());
            match self.member.run.commit(commit) {
                Step::Conflict(Conflict { mut entries, locked: false }) if entries.len() == 1 => {
                    self.sum = entries.remove(0);
                }
                Step::Empty(_) | Step::Done => {
                    self.sum = entry("sum", self.sum.version + 1, next);
                    return;
                }
                step => panic!("a commit of a lease in time is not answered {step:?}"),
            }
        }
    }

    /// Sends a commit again that was applied.
    fn send_again(&mut self) {
        if self.chance.below(4) == 0
            && let Some(commit) = &self.applied
        {
            let step = self.member.run.commit(commit);
            assert_eq!(step, Step::Lost, "a commit that is sent again is lost");
        }
    }
}
