//! `steps`: the parts of a task's way through the parent, each by itself, in ns a task.
//!
//! The parts are rebuilt from what is public, a lease of `TASKS` tasks of `sum_up` at a time, as a
//! worker packs them: the codec, the batch, the frame, the broker. What belongs to a lease, as the
//! round trip to another process, is divided by the tasks in it. Worker processes hand over up to
//! 512 tasks at once, so the wake-up of a process is next to nothing a task here, and everything in
//! a pool that sends one call at a time: `round_trip` is the undivided figure.

use std::env;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::{fd::OwnedFd, unix::net::UnixStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use bincode::config::{Configuration, standard};
use prunner::broker::{Batch, Broker, Commit, MemoryBroker, Step, Tasks, Token};
use prunner::{Order, Sum};
use serde::{Deserialize, Serialize};

use crate::harness::flags::Flags;
use crate::harness::line::Line;
use crate::harness::rounds::{Sample, Summary, Variant, interleave};
use crate::programs::sum_up::Step as Task;
use crate::python::Python;
use crate::word;

/// Tasks of a lease, and leases that are measured together.
const TASKS: u64 = 512;
const LEASES: u64 = 200;

const CONFIG: Configuration = standard();

/// What a lease is on its way: the same fields as `prunner::broker::Lease` in a frame.
#[derive(Serialize, Deserialize)]
struct Frame {
    token: Token,
    batch: Batch,
}

fn encode(value: &impl Serialize, bytes: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(value, bytes, CONFIG).expect("it can be written");
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> T {
    bincode::serde::decode_from_slice(bytes, CONFIG).expect("it was written").0
}

fn tasks() -> Vec<Task> {
    (0..TASKS).map(Task::AddOne).collect()
}

fn batch() -> Batch {
    let mut batch = Batch::default();
    let mut bytes = Vec::new();
    for task in tasks() {
        bytes.clear();
        encode(&task, &mut bytes);
        batch.tasks.push(&bytes);
    }
    batch
}

/// Times `step` of one lease after the other, in ns a task.
fn a_task(mut step: impl FnMut()) -> Sample {
    crate::tree::time(TASKS * LEASES, || (0..LEASES).for_each(|_| step()))
}

pub(crate) fn measure(flags: &Flags, python: Option<&Python>) -> Vec<Line> {
    let mut lines: Vec<Line> = prunner(flags).iter().map(step).collect();
    if let Some(python) = python {
        for line in python.run("steps.py", &[]).lines() {
            let (name, nanos) = line.split_once(' ').expect("a name and a number");
            let nanos = nanos.parse().expect("a number");
            lines.push(Line::new(&format!("step_of_python_{name}"), 1).number("ns", nanos));
        }
    }
    lines
}

fn step(summary: &Summary) -> Line {
    Line::new(&format!("step_{}", summary.name), 1)
        .number("ns", summary.median)
        .percent("spread", summary.spread)
}

fn prunner(flags: &Flags) -> Vec<Summary> {
    let (all, batch) = (tasks(), batch());
    let frame = || {
        let mut bytes = Vec::new();
        encode(&Frame { token: Token::random(), batch: batch.clone() }, &mut bytes);
        bytes
    };
    let mut bytes = Vec::new();
    let variants = vec![
        Variant::new("encode", || {
            a_task(|| {
                for task in &all {
                    bytes.clear();
                    encode(black_box(task), &mut bytes);
                }
            })
        }),
        Variant::new("pack", || {
            let one = {
                let mut bytes = Vec::new();
                encode(&all[0], &mut bytes);
                bytes
            };
            a_task(|| {
                let mut tasks = Tasks::new();
                (0..TASKS).for_each(|_| tasks.push(black_box(&one)));
                black_box(tasks);
            })
        }),
        Variant::new("frame", || a_task(|| _ = black_box(frame()))),
        Variant::new("socket", || {
            let (mut here, mut there) = UnixStream::pair().expect("there are sockets");
            let (frame, mut read) = (frame(), vec![0; 128 << 10]);
            a_task(|| {
                here.write_all(&frame).expect("it is small");
                let mut left = frame.len();
                while left > 0 {
                    left -= there.read(&mut read).expect("it was written");
                }
            })
        }),
        Variant::new("unframe", || {
            let frame = frame();
            a_task(|| _ = black_box(decode::<Frame>(&frame)))
        }),
        Variant::new("broker", || {
            let broker =
                MemoryBroker::new(Duration::from_secs(10), Order::Lifo, vec![batch.clone()]);
            let lease = |commit: Option<&Commit>| {
                let token = Token::random();
                match broker.step(commit, &[token]).expect("it is in memory") {
                    Step::Leased(..) => token,
                    other => panic!("a lease was there: {other:?}"),
                }
            };
            let mut token = lease(None);
            a_task(|| {
                let commit = Commit { posts: vec![batch.clone()], ..Commit::new(token) };
                token = lease(Some(&commit));
            })
        }),
        Variant::new("decode", || {
            a_task(|| {
                for task in batch.tasks.iter() {
                    black_box(decode::<Task>(task.expect("it is well formed")));
                }
            })
        }),
        Variant::new("merge_frame", || {
            // An entry of the dict is read, merged and written once a lease.
            a_task(|| {
                let mut bytes = Vec::new();
                encode(&Sum(black_box(7_u64)), &mut bytes);
                black_box(decode::<Sum<u64>>(&bytes));
            })
        }),
        Variant::new("round_trip", || {
            let mut echo = Echo::start();
            const TRIPS: u64 = 2_000;
            crate::tree::time(TRIPS, || (0..TRIPS).for_each(|_| echo.trip()))
        }),
        Variant::new("process", || {
            const TIMES: u32 = 20;
            let start = Instant::now();
            (0..TIMES).for_each(|_| drop(Echo::start()));
            let value = start.elapsed().as_nanos() as f64 / f64::from(TIMES);
            Sample { value, tail: None, cpu_wall: 1.0 }
        }),
    ];
    interleave(variants, flags.rounds())
}

/// This program once more, started as a worker is, which sends back each byte that it is sent.
struct Echo {
    process: Child,
    socket: UnixStream,
}

impl Echo {
    /// Returns when it has answered once.
    fn start() -> Echo {
        let (socket, theirs) = UnixStream::pair().expect("there are sockets");
        let process = Command::new(env::current_exe().expect("this program has a file"))
            .args([word::ALONE, "echo", "0", "0"])
            .stdin(OwnedFd::from(theirs))
            .spawn()
            .expect("this program can be started");
        let mut echo = Echo { process, socket };
        echo.trip();
        echo
    }

    fn trip(&mut self) {
        let mut byte = [7];
        self.socket.write_all(&byte).expect("the other end is there");
        self.socket.read_exact(&mut byte).expect("the other end answers");
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.process.wait();
    }
}

/// The other end of [`Echo`].
pub(crate) fn echo() {
    let stdin = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned();
    let mut socket = UnixStream::from(stdin.expect("standard input is a socket"));
    let mut byte = [0];
    while socket.read_exact(&mut byte).is_ok() && socket.write_all(&byte).is_ok() {}
}
