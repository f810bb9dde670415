//! Worker processes share: what waits behind a long handler runs elsewhere.

use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use prunner::{Context, Key, Labeled, ParallelTaskRunner, Runner, Sum, TaskResult};
use prunner_tests::{gate::PATIENCE, scratch::Scratch, watchdog::Watchdog};
use serde::{Deserialize, Serialize};

prunner_tests::watched!();

prunner::worker_test!(Appointments);

/// The follow-ups that handlers have posted. It is committed with them, also when that is done for a worker
/// whose next handler runs.
const POSTED: Key<Sum<u64>> = Key::new("posted");

#[derive(Debug, Labeled, Serialize, Deserialize)]
enum Step {
    /// Posts these, all at once.
    Post(Vec<Step>),
    /// Takes part in meetings one after the other. A meeting begins when both sides are there.
    Meet(Vec<(u32, Side)>),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Side {
    Guest,
    Host,
}

/// Handlers meet at named pipes: who opens one end waits for the other.
#[derive(Serialize, Deserialize)]
struct Appointments {
    pipes: PathBuf,
    #[serde(skip)]
    _scratch: Option<Scratch>,
    first: Vec<Vec<(u32, Side)>>,
    /// Whether the first ones are posted by a handler, so that they are follow-ups of one worker.
    by_a_handler: bool,
}

impl Appointments {
    fn new(meetings: u32, by_a_handler: bool, first: Vec<Vec<(u32, Side)>>) -> Self {
        let scratch = Scratch::new();
        let pipes = scratch.path().to_path_buf();
        (0..meetings).for_each(|meeting| make_pipe(&pipes.join(meeting.to_string())));
        Self { pipes, _scratch: Some(scratch), first, by_a_handler }
    }

    fn meet(&self, meeting: u32, side: Side) -> TaskResult {
        let pipe = self.pipes.join(meeting.to_string());
        match side {
            Side::Guest => File::open(pipe)?,
            Side::Host => OpenOptions::new().write(true).open(pipe)?,
        };
        Ok(())
    }
}

fn make_pipe(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path has no zero byte");
    // SAFETY: the path is a text that ends with a zero byte and lives.
    let made = unsafe { libc::mkfifo(path.as_ptr(), 0o600) };
    assert_eq!(made, 0, "the pipe was not made");
}

impl ParallelTaskRunner for Appointments {
    type Task = Step;

    fn begin(&self, cx: &mut Context<'_, Step>) -> TaskResult {
        let first = self.first.iter().cloned().map(Step::Meet);
        match self.by_a_handler {
            true => cx.post(Step::Post(first.collect())),
            false => cx.post_all(first),
        }
        Ok(())
    }

    fn run(&self, task: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
        match task {
            Step::Post(steps) => {
                cx.merge(POSTED, Sum(steps.len() as u64));
                for step in steps {
                    if let Step::Meet(meetings) = step {
                        cx.post(Step::Meet(meetings.clone()));
                    }
                }
            }
            Step::Meet(meetings) => {
                meetings.iter().try_for_each(|&(meeting, side)| self.meet(meeting, side))?;
            }
        }
        Ok(())
    }
}

/// A run that comes to its end only if those who meet run at the same time. Workers look after their
/// leases every twenty minutes: nothing may wait for that.
fn must_end(program: Appointments, workers: usize, threads: usize, tasks: u64) {
    let _watchdog = Watchdog::after(PATIENCE, "a run whose handlers wait for each other");
    let posted = program.by_a_handler.then_some(Sum(tasks - 1));
    let runner = Runner::new(program).workers(workers).processes().threads(threads);
    let report = runner.lease(Duration::from_secs(3600)).start().expect("nothing fails");
    assert_eq!((report.ledger().finished, report.dict().get(POSTED)), (tasks, posted));
}

use Side::{Guest, Host};

/// So many handlers, each of which waits for the next: all of them must run at once.
fn circle(handlers: u32) -> Vec<Vec<(u32, Side)>> {
    let pair = |n: u32| vec![(n, Host), ((n + handlers - 1) % handlers, Guest)];
    let mut circle: Vec<_> = (0..handlers).map(pair).collect();
    circle[0].reverse();
    circle
}

#[test]
fn follow_ups_of_one_handler_run_on_all_workers() {
    for threads in [1, 2] {
        let program = Appointments::new(4, true, circle(4));
        must_end(program, 4 / threads, threads, 5);
    }
}

#[test]
fn tasks_behind_a_long_handler_run_elsewhere() {
    // Who comes first takes the last of these and hands out the rest. Others run short ones, or come to a
    // long handler with some of the rest behind it, and those are asked for when nothing else is left.
    for threads in [1, 2] {
        let mut first = Vec::new();
        for meetings in circle(4) {
            first.push(meetings);
            first.extend(vec![Vec::new(); 25]);
        }
        let program = Appointments::new(4, true, first);
        must_end(program, 4 / threads, threads, 105);
    }
}

#[test]
fn posts_of_begin_run_on_all_workers() {
    let first = (0..10).map(|n| vec![(n / 2, if n % 2 == 0 { Host } else { Guest })]).collect();
    must_end(Appointments::new(5, false, first), 10, 1, 10);
}
