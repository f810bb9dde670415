//! What a worker process says and when, to a parent that the test plays: it answers what the test wants,
//! in the order that the test wants. Nothing here knows how a worker is made.

use std::{
    env,
    fs::File,
    io::Write as _,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    WORKER, name_of, plan,
    wire::{Inbox, ToParent, ToWorker, Welcome, write_frame},
};
use crate::{
    Context, Key, Labeled, ParallelTaskRunner, TaskResult,
    broker::{Batch, Commit, Lease, Lock, Tasks, Token, Write},
    codec,
    settings::{Limits, Settings},
    testing::watchdog::Watchdog,
};

crate::worker_test!(Program);

/// Written under the lock.
const WRITTEN: Key<u64> = Key::new("written");

#[derive(Labeled, Serialize, Deserialize)]
enum Step {
    /// Does nothing.
    Pass,
    /// Waits until its process ends.
    Wait,
    /// Posts itself again.
    Again,
    /// Flushes a post, then takes the dict's lock, which is when the parent lets it.
    Flush,
    /// Writes under the lock, flushes, and goes on under it.
    FlushLocked,
}

#[derive(Serialize, Deserialize)]
struct Program;

impl ParallelTaskRunner for Program {
    type Task = Step;

    fn begin(&self, _: &mut Context<'_, Step>) -> TaskResult {
        Err("the test is the parent".into())
    }

    fn run(&self, step: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
        match step {
            Step::Pass => {}
            Step::Wait => loop {
                thread::park();
            },
            Step::Again => cx.post(Step::Again),
            Step::Flush => {
                cx.post(Step::Pass);
                cx.flush();
                drop(cx.lock());
            }
            Step::FlushLocked => {
                let mut lock = cx.lock();
                *lock.entry(WRITTEN).or_default() += 1;
                cx.post(Step::Pass);
                cx.flush();
                *lock.entry(WRITTEN).or_default() += 1;
            }
        }
        Ok(())
    }
}

/// After this long the worker does not do what the test waits for, where nothing else is running.
const SILENCE: Duration = Duration::from_secs(10);

/// No lease ends within any test.
const ENDLESS: Duration = Duration::from_secs(3600);

/// A worker process and the parent's end of its socket.
struct Played {
    child: Child,
    socket: UnixStream,
    inbox: Inbox,
    /// The tokens under which it waits for leases.
    wanted: Vec<Token>,
    /// What travels ahead of its next commit.
    writes: Vec<Write>,
}

impl Played {
    /// A worker that is ready and has asked for leases.
    fn start(lease: Duration, limits: Limits) -> Self {
        let settings = Settings { limits, ..Settings::of_a_test(lease) };
        let words = (plan(&Program, &settings).expect("it can be written").first_words)(0);
        let (socket, theirs) = UnixStream::pair().expect("a pair of sockets");
        let theirs = File::from(OwnedFd::from(theirs));
        let child = Command::new(env::current_exe().expect("this program has a path"))
            .args(["process::played_parent::prunner_worker", "--exact", "--nocapture"])
            .env(WORKER, name_of(&theirs).expect("it is a socket"))
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this program starts");
        let (inbox, wanted, writes) = Default::default();
        let mut played = Self { child, socket, inbox, wanted, writes };
        played.socket.write_all(&words).expect("it reads");
        assert_eq!(played.frame::<Welcome>(), Some(Welcome::Same));
        played.wait_for("ready", |up| matches!(up, ToParent::Ready).then_some(()));
        played
    }

    /// Its next words, whatever they are; none at its end.
    fn frame<T: serde::de::DeserializeOwned>(&mut self) -> Option<T> {
        let _watchdog = Watchdog::after(SILENCE, "a worker that is to say something");
        loop {
            if let Some(frame) = self.inbox.next().expect("it keeps to the protocol") {
                return Some(frame);
            }
            match self.inbox.read_from(&mut self.socket) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("it cannot be heard: {error}"),
            }
        }
    }

    /// Its next words, of which those that ask for leases are noted; none at its end.
    fn next(&mut self) -> Option<ToParent> {
        let up = self.frame()?;
        match &up {
            ToParent::Step { want, .. } => self.wanted.extend(want),
            ToParent::Writes { writes, .. } => self.writes.extend_from_slice(writes),
            ToParent::Broken(why) => panic!("its dict is broken: {why}"),
            _ => {}
        }
        Some(up)
    }

    /// Waits until it says what `pick` picks.
    #[track_caller]
    fn wait_for<T>(&mut self, what: &str, mut pick: impl FnMut(ToParent) -> Option<T>) -> T {
        loop {
            let up = self.next();
            let up = up.unwrap_or_else(|| panic!("it has ended and was to say: {what}"));
            if let Some(picked) = pick(up) {
                return picked;
            }
        }
    }

    fn send(&mut self, down: ToWorker) {
        let mut bytes = Vec::new();
        write_frame(&down, &mut bytes).expect("it can be written");
        self.socket.write_all(&bytes).expect("it reads");
    }

    /// Gives it a lease of these tasks, for which it has asked.
    fn lease(&mut self, steps: &[Step]) -> Token {
        while self.wanted.is_empty() {
            self.next().expect("it asks for a lease");
        }
        let token = self.wanted.remove(0);
        let mut tasks = Tasks::new();
        steps.iter().for_each(|step| tasks.push(&codec::to_bytes(step).expect("it is a number")));
        let lease = Lease { token, batch: Batch { tasks, ..Batch::default() } };
        self.send(ToWorker::Leased { seat: 0, leases: vec![lease] });
        token
    }

    /// Waits for its next commit.
    #[track_caller]
    fn commit(&mut self) -> Commit {
        self.wait_for("a commit", |up| match up {
            ToParent::Step { commit, .. } => commit,
            _ => None,
        })
    }

    /// Waits until it asks for the dict's lock, and gives it.
    #[track_caller]
    fn give_lock(&mut self) {
        self.wait_for("the lock", |up| matches!(up, ToParent::Lock { .. }).then_some(()));
        self.send(ToWorker::Lock { seat: 0, lock: Lock::Held });
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn finished(commit: &Commit) -> u64 {
    commit.labels.iter().map(|label| label.finished).sum()
}

/// Of two things that the same clock drives, the renewal comes first: at a third of the lease, well
/// before the handler has taken two thirds of it and is ended. A process that did not run for the whole
/// time in between sees both at once, so there is more than one attempt.
#[test]
fn a_lease_is_renewed_long_before_it_is_over() {
    let lease = Duration::from_secs(3);
    let limits = Limits { task: Some(lease * 2 / 3), ..Limits::default() };
    let renews = || {
        let mut worker = Played::start(lease, limits);
        let token = worker.lease(&[Step::Wait]);
        let mut said = std::iter::from_fn(|| worker.next());
        said.any(|up| matches!(up, ToParent::Renew(tokens) if tokens.contains(&token)))
    };
    assert!((0..3).any(|_| renews()), "it has ended three times without a renewal");
}

/// Nothing else happens while the handler runs: its limit alone ends it.
#[test]
fn a_handler_is_ended_by_its_limit_however_long_the_lease_is() {
    let limits = Limits { task: Some(Duration::from_millis(300)), ..Limits::default() };
    let mut worker = Played::start(ENDLESS, limits);
    worker.lease(&[Step::Wait]);
    while worker.next().is_some() {}
}

#[test]
fn a_lease_that_goes_on_and_on_is_committed_in_between() {
    let mut worker = Played::start(ENDLESS, Limits::default());
    let token = worker.lease(&[Step::Again]);
    let commit = worker.commit();
    assert_eq!(commit.token, token);
    assert!(finished(&commit) > 0, "{commit:?}");
    assert_eq!(commit.posted, finished(&commit), "each has posted one");
}

#[test]
fn a_lease_behind_a_long_handler_is_given_back_when_others_wait() {
    let mut worker = Played::start(ENDLESS, Limits::default());
    worker.lease(&[Step::Wait]);
    let behind = worker.lease(&[Step::Pass]);
    worker.send(ToWorker::Wanted { tasks: true, lock: false });
    let back = worker.wait_for("a lease is given back", |up| match up {
        ToParent::Release { token, .. } => Some(token),
        _ => None,
    });
    assert_eq!(back, behind);
}

/// A commit lets the lock go, and the handler is still writing.
#[test]
fn a_flush_under_the_lock_commits_nothing() {
    let mut worker = Played::start(ENDLESS, Limits::default());
    let token = worker.lease(&[Step::FlushLocked]);
    worker.give_lock();
    let commit = loop {
        match worker.next().expect("it commits") {
            ToParent::Step { commit: Some(commit), .. } => break commit,
            ToParent::Read { .. } => worker.send(unwritten()),
            _ => {}
        }
    };
    assert_eq!(commit.token, token);
    assert!(finished(&commit) >= 1 && commit.successor.is_none(), "{commit:?}");
    worker.writes.extend(commit.writes.clone());
    let written = worker.writes[0].value.as_ref().map(|it| codec::decode::<u64>(&it.bytes.0));
    assert_eq!(written, Some(Ok(2)));
}

/// What is read of an entry that was never written.
fn unwritten() -> ToWorker {
    let entry = crate::broker::Entry { key: WRITTEN.name().into(), version: 0, value: None };
    ToWorker::Read { seat: 0, read: crate::broker::Read::Entry(entry) }
}

/// A lease that goes on under another token is known under that token once the commit is applied. A
/// renewal that comes before finds nothing, and that says nothing about the lease.
#[test]
fn a_renewal_says_nothing_about_a_lease_whose_commit_is_under_way() {
    let mut worker = Played::start(ENDLESS, Limits::default());
    let token = worker.lease(&[Step::Flush]);
    let commit = worker.commit();
    let kept = commit.successor.expect("its task goes on").token;
    worker.send(ToWorker::Gone(vec![kept]));
    worker.send(ToWorker::Committed { seat: 0, token });
    worker.give_lock();
    let commit = worker.commit();
    assert_eq!(commit.token, kept);
    assert_eq!(finished(&commit), 1);
}
