//! Random histories, each answer compared with the model's.

use std::fmt::Debug;

use proptest::{
    collection::vec,
    prelude::{BoxedStrategy, Just, Strategy, any},
    prop_oneof,
    test_runner::{Config, TestCaseError, TestRunner},
};

use super::{
    model::{Expected, Model, sort_dead},
    *,
};
use crate::broker::DeadLetter;

/// One call. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Call {
    /// Asks, under new tokens or the last ones again.
    Ask {
        tokens: usize,
        again: bool,
    },
    Commit {
        lease: u8,
        has: Box<Contents>,
        want: usize,
    },
    /// Sends an earlier commit again.
    Resend {
        commit: u8,
        want: usize,
    },
    Lock {
        lease: u8,
    },
    /// Reads; if told so, on behalf of the lease that holds the lock.
    Read {
        lease: u8,
        under_lock: bool,
        key: u8,
        known: u64,
    },
    Renew {
        leases: Vec<u8>,
    },
    Release {
        lease: u8,
        why: Release,
    },
    /// Withdraws the last tokens that were asked for.
    Withdraw,
    /// Lets so many fifths of a lease pass.
    Advance {
        fifths: u32,
    },
}

/// What a commit has, but for names that are made when it is.
#[derive(Clone, Debug)]
struct Contents {
    keep: bool,
    /// For each batch its priority and how many tasks.
    posts: Vec<(Priority, usize)>,
    /// For each write whether it is stale, and the value.
    writes: Vec<(u8, bool, Option<u8>)>,
    labels: Vec<(u8, u8, u8)>,
    dead: usize,
}

fn call() -> impl Strategy<Value = Call> {
    let why = prop_oneof![
        3 => Just(Release::Crashed),
        1 => Just(Release::Unstarted),
        1 => Just(Release::Interrupted),
    ];
    prop_oneof![
        5 => (1..4usize, any::<bool>()).prop_map(|(tokens, again)| Call::Ask { tokens, again }),
        6 => (any::<u8>(), contents(), 0..3usize)
            .prop_map(|(lease, has, want)| Call::Commit { lease, has, want }),
        1 => (any::<u8>(), 0..3usize).prop_map(|(commit, want)| Call::Resend { commit, want }),
        3 => any::<u8>().prop_map(|lease| Call::Lock { lease }),
        4 => (any::<u8>(), any::<bool>(), 0..2u8, 0..3u64).prop_map(
            |(lease, under_lock, key, known)| Call::Read { lease, under_lock, key, known }
        ),
        2 => vec(any::<u8>(), 0..4).prop_map(|leases| Call::Renew { leases }),
        3 => (any::<u8>(), why).prop_map(|(lease, why)| Call::Release { lease, why }),
        1 => Just(Call::Withdraw),
        // Even numbers: five is never the sum, so that no lease expires in the moment of a call.
        2 => prop_oneof![4 => Just(2), 1 => Just(6)].prop_map(|fifths| Call::Advance { fifths }),
    ]
}

fn contents() -> BoxedStrategy<Box<Contents>> {
    let rarely = || any::<u8>().prop_map(|number| number < 26);
    let posts = vec((priority(), 0..4usize), 0..3);
    let writes = vec((0..2u8, rarely(), proptest::option::of(any::<u8>())), 0..3);
    (rarely(), posts, writes, vec((0..3u8, 0..9u8, 0..2u8), 0..3), 0..2usize)
        .prop_map(|(keep, posts, mut writes, labels, dead)| {
            // One write of a key in a commit.
            writes.sort_by_key(|write| write.0);
            writes.dedup_by_key(|write| write.0);
            Box::new(Contents { keep, posts, writes, labels, dead })
        })
        .boxed()
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![
        1 => Just(Priority::High),
        3 => Just(Priority::Normal),
        1 => Just(Priority::Low)
    ]
}

/// The broker and the model side by side.
struct Pair {
    run: Run,
    model: Model,
    /// All that may be a lease or was one, newest last.
    tokens: Vec<Token>,
    asked: Vec<Token>,
    commits: Vec<Commit>,
    /// Tasks and values so far: each is another one.
    made: u64,
}

/// What the two disagree about.
type Disagreement = String;

fn agree<T: PartialEq + Debug>(what: &str, broker: T, model: T) -> Result<(), Disagreement> {
    if broker == model {
        return Ok(());
    }
    Err(format!("{what}: the broker says {broker:?}, the contract says {model:?}"))
}

impl Pair {
    fn new(make: Fresh<'_>) -> Self {
        let first = [batch(&[b"1"]), batch(&[b"2", b"3"]), batch(&[b"4"]), batch(&[b"5"])];
        let model = Model::new(&first);
        let run = Run::new(make, first);
        Self { run, model, tokens: Vec::new(), asked: Vec::new(), commits: Vec::new(), made: 0 }
    }

    /// A lease that is out; now and then one of the last that were, or none that ever was.
    fn token(&self, choice: u8) -> Token {
        let out = self.model.tokens();
        let last = &self.tokens[self.tokens.len().saturating_sub(6)..];
        let among = if choice.is_multiple_of(8) { last } else { &out };
        match among.len() {
            0 => Token::random(),
            len => among[usize::from(choice / 8) % len],
        }
    }

    fn fresh(&mut self, tokens: usize) -> Vec<Token> {
        let fresh: Vec<_> = (0..tokens).map(|_| Token::random()).collect();
        self.asked.clone_from(&fresh);
        fresh
    }

    fn task(&mut self) -> Vec<u8> {
        self.made += 1;
        self.made.to_le_bytes().to_vec()
    }

    fn batch(&mut self, priority: Priority, tasks: usize) -> Batch {
        let tasks: Vec<_> = (0..tasks).map(|_| self.task()).collect();
        let tasks: Vec<_> = tasks.iter().map(Vec::as_slice).collect();
        with_priority(priority, batch(&tasks))
    }

    fn call(&mut self, call: &Call) -> Result<(), Disagreement> {
        match call {
            Call::Ask { tokens, again } => {
                // What was committed is used up: nobody asks under it again.
                let commits = &self.commits;
                self.asked.retain(|&asked| commits.iter().all(|commit| commit.token != asked));
                let repeat = *again && !self.asked.is_empty();
                let want = if repeat { self.asked.clone() } else { self.fresh(*tokens) };
                self.step(None, &want)
            }
            Call::Commit { lease, has, want } => {
                let commit = self.make(self.token(*lease), has);
                let want = self.fresh(*want);
                self.commits.push(commit.clone());
                self.step(Some(&commit), &want)
            }
            Call::Resend { commit, want } => {
                let at = usize::from(*commit) % self.commits.len().max(1);
                let Some(commit) = self.commits.get(at).cloned() else { return Ok(()) };
                let want = self.fresh(*want);
                self.step(Some(&commit), &want)
            }
            Call::Lock { lease } => {
                let token = self.token(*lease);
                agree("lock", self.run.lock(token), self.model.lock(token))
            }
            Call::Read { lease, under_lock, key, known } => {
                let holder = self.model.holder().filter(|_| *under_lock);
                let (token, key) = (holder.unwrap_or_else(|| self.token(*lease)), name(*key));
                let read = self.run.read(token, &key, *known);
                agree("read", read, self.model.read(token, &key, *known))
            }
            Call::Renew { leases } => {
                let tokens: Vec<_> = leases.iter().map(|lease| self.token(*lease)).collect();
                agree("renew", self.run.renew(&tokens), self.model.renew(&tokens))
            }
            Call::Release { lease, why } => {
                self.release(self.token(*lease), *why);
                Ok(())
            }
            Call::Withdraw => {
                for token in self.asked.clone() {
                    self.release(token, Release::Unstarted);
                }
                Ok(())
            }
            Call::Advance { fifths } => {
                self.run.advance(*fifths);
                self.model.advance(*fifths);
                Ok(())
            }
        }
    }

    fn release(&mut self, token: Token, why: Release) {
        self.run.release(token, why);
        self.model.release(token, why);
    }

    fn make(&mut self, token: Token, has: &Contents) -> Commit {
        let mut commit = Commit::new(token);
        for &(priority, tasks) in &has.posts {
            commit.posts.push(self.batch(priority, tasks));
            commit.posted += tasks as u64;
        }
        for &(key, stale, number) in &has.writes {
            let key = name(key);
            let version = self.model.version(&key) + u64::from(stale);
            let value = number.and_then(|number| value(&number.to_string()));
            commit.writes.push(write(&key, version, value));
        }
        for &(label, finished, dead) in &has.labels {
            commit.labels.push(count(&name(label), finished.into(), dead.into()));
        }
        for _ in 0..has.dead {
            let report = Bytes(b"why".to_vec());
            commit.dead.push(DeadLetter { task: Bytes(self.task()), report, interruptions: 0 });
        }
        if has.keep {
            let batch = self.batch(Priority::Normal, 2);
            commit.successor = Some(Lease { token: Token::random(), batch });
        }
        commit
    }

    fn step(&mut self, commit: Option<&Commit>, want: &[Token]) -> Result<(), Disagreement> {
        let step = self.run.step(commit, want);
        let expected = match self.model.step(commit, want) {
            Expected::Exactly(expected) => return self.stepped(commit, step, expected),
            Expected::Leases(expected, waiting) => (expected, waiting),
        };
        let Step::Leased(leases, waiting) = &step else {
            return Err(format!(
                "step: the broker says {step:?}, the contract that batches are leased"
            ));
        };
        agree("workers that wait beside a lease", *waiting, expected.1)?;
        let tokens: Vec<_> = leases.iter().map(|lease| lease.token).collect();
        agree("leased tokens", tokens, expected.0.iter().map(|it| it.0).collect())?;
        for (lease, (_, out)) in leases.iter().zip(expected.0) {
            match out {
                Some(batch) => agree("the lease that is out already", &lease.batch, &batch)?,
                None if self.model.leased(lease) => self.tokens.push(lease.token),
                None => return Err(format!("{lease:?} is none of the batches to be leased next")),
            }
        }
        self.kept(commit);
        Ok(())
    }

    fn stepped(
        &mut self,
        commit: Option<&Commit>,
        step: Step,
        expected: Step,
    ) -> Result<(), Disagreement> {
        if !matches!(expected, Step::Lost | Step::Conflict(_)) {
            self.kept(commit);
        }
        agree("step", step, expected)
    }

    fn kept(&mut self, commit: Option<&Commit>) {
        self.tokens
            .extend(commit.and_then(|commit| commit.successor.as_ref()).map(|kept| kept.token));
    }

    fn compare(&mut self) -> Result<(), Disagreement> {
        let watched = Status { seen: 0, ..self.run.look() };
        agree("what is watched", watched, self.model.look())?;
        let mut outcome = self.run.outcome();
        sort_dead(&mut outcome);
        agree("the outcome", outcome, self.model.outcome())
    }
}

/// The name of a key or a label.
fn name(number: u8) -> String {
    format!("name {number}")
}

fn history(make: Fresh<'_>, calls: &[Call]) -> Result<(), Disagreement> {
    let mut pair = Pair::new(make);
    pair.compare()?;
    for call in calls {
        pair.call(call)
            .and_then(|()| pair.compare())
            .map_err(|disagreement| format!("after {call:?}: {disagreement}"))?;
    }
    Ok(())
}

/// In any history of calls each answer is that of a simple model. `PROPTEST_CASES` says how many
/// histories are tried.
pub(super) fn random_histories_agree_with_the_model(make: Fresh<'_>) {
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let tried =
        runner.run(&vec(call(), 1..80), |calls| history(make, &calls).map_err(TestCaseError::fail));
    if let Err(failure) = tried {
        panic!("each answer of a broker is that of the model; {failure}");
    }
}
