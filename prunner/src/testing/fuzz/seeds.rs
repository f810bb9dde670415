//! Honest inputs: what a short run really says, and some of what brokers are asked.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    broker::Call,
    entries::Shape,
    script::{write_bytes, write_value},
};
use crate::{
    Bytes, Order, Priority,
    broker::{
        Batch, Commit, Conflict, DeadLetter, Encoded, Entry, LabelCount, Lease, Lock, Read,
        Release, Tasks, Timing, Token, Write,
    },
    codec,
    failure::{Cause, Failure},
    process::wire::{Greeting, Hello, MAGIC, PROTOCOL, ToParent, ToWorker, Welcome, write_frame},
    settings::{Limits, Terms},
};

/// Inputs that make sense: for which function, what they are called, and the bytes. The same ones
/// every time.
pub fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("frames", "up", stream(0, 7, &ups())),
        ("frames", "down", stream(1, 200, &downs())),
        ("frames", "hello", stream(2, 1, &[hello()])),
        ("frames", "greeting", stream(3, 3, &[greeting()])),
        ("frames", "welcome", stream(4, 50, &[Welcome::Same, Welcome::Refused("no".into())])),
        ("conversation", "run", run()),
        ("conversation", "crash", crash()),
        ("conversation", "lock", lock()),
        ("conversation", "largest", largest()),
        ("broker", "run", calls(0, broker_run())),
        ("broker", "crash", calls(1, broker_crash())),
        ("broker", "lock", calls(0, broker_lock())),
        ("entries", "number", entry(0, &70_000_u64)),
        ("entries", "text", entry(1, &"text")),
        ("entries", "list", entry(2, &[(1_u32, "a"), (2, "b")].as_slice())),
        ("entries", "map", entry(3, &BTreeMap::from([("a", vec![1_u64, 300]), ("b", vec![])]))),
        ("entries", "chars", entry(4, &BTreeMap::from([(1_u64, Some('a')), (2, None)]))),
        ("entries", "tokens", entry(5, &[1_u128, 1 << 100].as_slice())),
        ("entries", "tuple", entry(6, &(true, -300_i16, [-1_i64, 5].as_slice()))),
        ("entries", "duration", entry(7, &Duration::from_millis(1500))),
        ("entries", "shape", entry(8, &shape())),
        ("entries", "nested", entry(9, &vec![vec![vec![Bytes(vec![1, 2])], vec![]]])),
        ("entries", "table", entry(10, &vec![[3_u64; 16]; 2])),
    ]
}

fn stream(kind: u8, pieces: u8, frames: &[impl Serialize]) -> Vec<u8> {
    let mut bytes = vec![kind, pieces];
    for frame in frames {
        write_frame(frame, &mut bytes).expect("a seed can be written");
    }
    bytes
}

fn entry(kind: u8, value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![kind];
    codec::encode(value, &mut bytes).expect("a seed can be written");
    bytes
}

fn shape() -> Shape {
    Shape::Struct { name: "n".into(), bytes: Bytes(vec![0, 255]), limits: [1, 300, 0] }
}

fn greeting() -> Greeting {
    Greeting { magic: MAGIC, protocol: PROTOCOL, build: "program 0.1.0 1f2e3d".into() }
}

fn hello() -> Hello {
    Hello {
        runner_type: "program::Crawl".into(),
        runner: Bytes(vec![3]),
        tasks: 1 << 40,
        worker: 1,
        terms: Terms {
            seats: 2,
            all_seats: 4,
            order: Order::Lifo,
            lease: Duration::from_secs(30),
            limits: Limits {
                memory: Some(1 << 30),
                task: Some(Duration::from_secs(5)),
                ..Limits::default()
            },
        },
    }
}

fn batch(tasks: &[&str]) -> Batch {
    let mut all = Tasks::new();
    tasks.iter().for_each(|task| all.push(task.as_bytes()));
    Batch { tasks: all, ..Batch::default() }
}

fn suspect(task: &str) -> Batch {
    Batch { suspect: true, crashes: 1, attempt: 1, ..batch(&[task]) }
}

/// What does not fit its lengths.
fn malformed() -> Batch {
    let bytes = codec::to_bytes(&(9_u32, Bytes(b"\x05\0\0\0a".to_vec())));
    let tasks = codec::decode(&bytes.expect("it can be written")).expect("and read");
    Batch { tasks, ..Batch::default() }
}

fn value(number: u64) -> Option<Encoded> {
    let bytes = codec::to_bytes(&number).expect("it can be written");
    Some(Encoded { type_name: "u64".into(), bytes: Bytes(bytes) })
}

fn write(version: u64, number: u64) -> Write {
    Write { key: "sum".into(), version, value: value(number) }
}

fn count(finished: u64, dead: u64) -> LabelCount {
    let times = Timing { tasks: finished, nanos: 1_000_000, samples: vec![(900, 1), (70_000, 2)] };
    LabelCount { label: "step".into(), finished, dead, times }
}

fn dead() -> DeadLetter {
    let failure = Failure::new("step", Some("(4)".into()), Cause::text("no"), 1);
    let report = codec::to_bytes(&failure).expect("it can be written");
    DeadLetter { task: Bytes(vec![4]), report: Bytes(report), interruptions: 0 }
}

fn commit(token: u128) -> Commit {
    Commit { posted: 2, labels: vec![count(3, 1)], ..Commit::new(Token(token)) }
}

fn want(seat: u16, tokens: &[u128]) -> ToParent {
    ToParent::Step { seat, commit: None, want: tokens.iter().copied().map(Token).collect() }
}

fn step(seat: u16, commit: Commit, next: u128) -> ToParent {
    ToParent::Step { seat, commit: Some(commit), want: vec![Token(next)] }
}

/// One of each.
fn ups() -> Vec<ToParent> {
    let keep = Some(Lease { token: Token(2), batch: suspect("b") });
    vec![
        ToParent::Ready,
        ToParent::Refused("another program".into()),
        ToParent::Posts { seat: 1, batches: vec![batch(&["a", "bc"]), malformed()] },
        step(
            0,
            Commit { successor: keep, dead: vec![dead()], writes: vec![write(0, 5)], ..commit(1) },
            3,
        ),
        ToParent::Lock { seat: 0, token: Token(u128::MAX) },
        ToParent::Read { seat: 300, token: Token(1), key: "sum".into(), known: 7 },
        ToParent::Renew(vec![Token(1), Token(1 << 70)]),
        ToParent::Release { seat: 0, token: Token(1), why: Release::Unstarted },
        ToParent::Suspect { token: Token(1), label: "step".into(), data: Some("(4)".into()) },
        ToParent::Broken("two keys share one name".into()),
        ToParent::Unable("no thread".into()),
        ToParent::Dying { seat: Some(1), why: "a handler ran for 3 s".into() },
        ToParent::State("1 seat".into()),
        ToParent::Writes { seat: 0, writes: vec![write(3, 1), write(0, 2)] },
    ]
}

/// One of each.
fn downs() -> Vec<ToWorker> {
    let entry = Entry { key: "sum".into(), version: 2, value: value(300) };
    let priority = Priority::High;
    let lease = Lease { token: Token(1), batch: Batch { priority, ..batch(&["a", "", "bc"]) } };
    vec![
        ToWorker::Leased { seat: 0, leases: vec![lease] },
        ToWorker::Committed { seat: 0, token: Token(1) },
        ToWorker::Lost { seat: 2, token: Token(1 << 99) },
        ToWorker::Conflict {
            seat: 0,
            token: Token(1),
            conflict: Conflict { entries: vec![entry.clone()], locked: true },
        },
        ToWorker::Lock { seat: 0, lock: Lock::Busy },
        ToWorker::Read { seat: 0, read: Read::Entry(entry) },
        ToWorker::Read { seat: 0, read: Read::Unchanged },
        ToWorker::Gone(vec![Token(4)]),
        ToWorker::Wanted { tasks: true, lock: false },
        ToWorker::Drain,
        ToWorker::Done,
        ToWorker::Dump,
    ]
}

/// A conversation as [`conversation`](super::conversation) reads it.
#[derive(Default)]
struct Talk(Vec<u8>);

impl Talk {
    fn open(mut self, line: u8, seats: u8) -> Self {
        self.0.extend([0, line + 3 * (seats - 1)]);
        self
    }

    fn close(mut self, line: u8) -> Self {
        self.0.extend([1, line]);
        self
    }

    fn pump(mut self) -> Self {
        self.0.extend([2, 0]);
        self
    }

    fn pass(mut self, seconds: u8) -> Self {
        self.0.extend([3, seconds]);
        self
    }

    fn says(mut self, line: u8, up: ToParent) -> Self {
        self.0.extend([6, line]);
        write_value(&up, &mut self.0);
        self
    }
}

fn run() -> Vec<u8> {
    let keep = Some(Lease { token: Token(9), batch: batch(&["2"]) });
    Talk::default()
        .open(0, 1)
        .open(1, 2)
        .says(0, want(0, &[1, 2]))
        .says(1, want(0, &[3, 4]))
        .says(1, want(1, &[5]))
        .pump()
        .says(0, ToParent::Posts { seat: 0, batches: vec![batch(&["a"]), batch(&["b", "c"])] })
        .says(0, step(0, Commit { posts: vec![batch(&["d"])], ..commit(1) }, 6))
        .says(1, step(0, Commit { successor: keep, writes: vec![write(0, 1)], ..commit(3) }, 7))
        .says(1, ToParent::Renew(vec![Token(9), Token(50)]))
        .pump()
        .says(1, ToParent::Release { seat: 1, token: Token(5), why: Release::Unstarted })
        .pump()
        .0
}

fn crash() -> Vec<u8> {
    let posts = vec![batch(&["a", "b"]), malformed(), suspect("c")];
    let label = ToParent::Suspect { token: Token(3), label: "step".into(), data: None };
    Talk::default()
        .open(2, 1)
        .says(2, want(0, &[1, 2]))
        .pump()
        .says(2, step(0, Commit { posts, dead: vec![dead()], ..commit(1) }, 3))
        .pump()
        .says(2, label)
        .close(2)
        .open(2, 1)
        .says(2, want(0, &[4]))
        .pump()
        .pass(11)
        .says(2, step(0, commit(4), 5))
        .pump()
        .close(2)
        .0
}

fn lock() -> Vec<u8> {
    let read =
        |seat, token| ToParent::Read { seat, token: Token(token), key: "sum".into(), known: 0 };
    Talk::default()
        .open(0, 1)
        .open(1, 1)
        .says(0, want(0, &[1]))
        .says(1, want(0, &[2]))
        .pump()
        .says(0, ToParent::Lock { seat: 0, token: Token(1) })
        .says(0, read(0, 1))
        .says(1, step(0, Commit { writes: vec![write(0, 8)], ..commit(2) }, 3))
        .pump()
        .says(0, step(0, Commit { writes: vec![write(0, 9)], ..commit(1) }, 4))
        .pump()
        .says(1, ToParent::Lock { seat: 0, token: Token(2) })
        .says(1, read(0, 2))
        .close(1)
        .pump()
        .0
}

/// The largest numbers wherever one fits.
fn largest() -> Vec<u8> {
    let most =
        Batch { attempt: u32::MAX, crashes: u32::MAX, interruptions: u32::MAX, ..suspect("a") };
    let times = Timing { tasks: u64::MAX, nanos: u64::MAX, samples: vec![(u64::MAX, u64::MAX); 2] };
    let label = |label: &str| LabelCount {
        label: label.into(),
        finished: u64::MAX,
        dead: u64::MAX,
        times: times.clone(),
    };
    let commit = Commit {
        posts: vec![most],
        posted: u64::MAX,
        labels: vec![label("a"), label("b")],
        ..Commit::new(Token(u128::MAX))
    };
    let named = ToParent::Suspect { token: Token(2), label: "a".into(), data: None };
    Talk::default()
        .open(0, 1)
        .says(0, want(0, &[u128::MAX, 2]))
        .pump()
        .says(0, step(0, commit, 3))
        .pump()
        .says(0, named)
        .close(0)
        .0
}

fn calls(order: u8, calls: Vec<Call>) -> Vec<u8> {
    let mut bytes = vec![order];
    for call in calls {
        write_value(&call, &mut bytes);
    }
    write_bytes(b"no call", &mut bytes);
    bytes
}

fn ask(commit: Option<Commit>, want: &[u128]) -> Call {
    Call::Step { commit, want: want.iter().copied().map(Token).collect() }
}

fn broker_run() -> Vec<Call> {
    let keep = Some(Lease { token: Token(9), batch: batch(&["2"]) });
    let posts = vec![batch(&["a", "b"]), Batch { priority: Priority::Low, ..batch(&["c"]) }];
    let twice = Commit { successor: keep, posts, writes: vec![write(0, 1)], ..commit(1) };
    vec![
        ask(None, &[1, 2, 3]),
        ask(Some(twice.clone()), &[4, 5]),
        ask(Some(twice), &[6]),
        Call::Renew(vec![Token(9), Token(4)]),
        ask(Some(Commit { writes: vec![write(0, 2)], ..commit(2) }), &[]),
        ask(Some(Commit { writes: vec![write(1, 2)], dead: vec![dead()], ..commit(2) }), &[7]),
        Call::Release(Token(4), Release::Unstarted),
    ]
}

fn broker_crash() -> Vec<Call> {
    vec![
        ask(None, &[1, 2]),
        ask(Some(Commit { posts: vec![malformed(), suspect("x")], ..commit(1) }), &[3, 4]),
        Call::Release(Token(2), Release::Crashed),
        Call::Release(Token(3), Release::Crashed),
        Call::Pass(11),
        ask(None, &[5, 6, 7, 8, 10]),
        Call::Release(Token(5), Release::Interrupted),
    ]
}

fn broker_lock() -> Vec<Call> {
    let read = |token, known| Call::Read { token: Token(token), key: "sum".into(), known };
    vec![
        ask(None, &[1, 2]),
        Call::Lock(Token(1)),
        read(1, 0),
        Call::Lock(Token(2)),
        ask(Some(Commit { writes: vec![write(0, 3)], ..commit(2) }), &[]),
        ask(Some(Commit { writes: vec![write(0, 4)], ..commit(1) }), &[]),
        read(2, 1),
        Call::Pass(5),
    ]
}
