//! A run whose machine gives it less than it wants; see `tests/threads_unavailable.rs`.
//!
//! Arguments: what is short, and how many threads beside the caller's there are to be.

use std::{
    fs::File,
    io, process,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use prunner::{
    Context, Error, Key, Labeled, ParallelTaskRunner, Priority, Runner, Sum, TaskResult,
};
use prunner_tests::{
    gate::Gate,
    limits::{allow_no_more_processes_than, leave_memory_for, lower},
    log_lines::print_warnings,
    random::Random,
};

const WORKERS: usize = 10;
const SUM: Key<Sum<u64>> = Key::new("sum");

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let short = arguments.next().expect("what is short");
    let threads: usize = arguments.next().and_then(|it| it.parse().ok()).expect("how many threads");
    print_warnings();
    let files = match short.as_str() {
        "memory" | "ctrlc" => leave_memory_for(threads).map(|()| Vec::new()),
        "processes" => allow_no_more_processes_than(1).map(|()| Vec::new()),
        "files" => use_up_files(),
        _ => panic!("what is {short}?"),
    };
    let files = files.expect("the limits can be lowered");
    let ctrlc = short == "files" || short == "ctrlc";
    let report = Runner::new(Few::of(threads + 1)).workers(WORKERS).ctrlc(ctrlc).start()?;
    let sum = report.dict().get(SUM).unwrap_or_default().0;
    println!("{} of {} workers: {sum}", report.workers_started(), report.workers());
    drop(files);
    Ok(())
}

#[derive(Labeled)]
enum Step {
    Add(u64),
    Ask,
    Answer,
}

/// A thousand numbers to be added, and some questions.
struct Few {
    workers: usize,
    meeting: Barrier,
    started: AtomicUsize,
    answered: Gate,
}

impl Few {
    fn of(workers: usize) -> Self {
        let (meeting, started) = (Barrier::new(workers), AtomicUsize::new(0));
        Self { workers, meeting, started, answered: Gate::new() }
    }

    /// The first additions wait for each other: they need that many workers.
    fn add(&self, n: u64, cx: &mut Context<'_, Step>) {
        if self.started.fetch_add(1, Ordering::SeqCst) < self.workers {
            self.meeting.wait();
        }
        cx.merge(SUM, Sum(n));
    }

    /// Those who could be started are still woken: one worker asks and the others, who are on their way
    /// to sleep or asleep, answer.
    fn ask(&self, cx: &mut Context<'_, Step>) {
        let (mut random, everybody) = (Random::new(0), WORKERS as u64);
        for question in 1..=200 {
            cx.post_all((0..everybody).map(|_| Step::Answer));
            cx.flush();
            self.answered.wait_for(question * everybody);
            // Each may last as long as other programs like.
            (0..random.below(10)).for_each(|_| thread::yield_now());
        }
    }
}

impl ParallelTaskRunner for Few {
    type Task = Step;

    fn begin(&self, cx: &mut Context<'_, Step>) -> TaskResult {
        cx.post_all((0..1000).map(Step::Add));
        if self.workers > 1 {
            cx.post_with(Priority::Low, Step::Ask);
        }
        Ok(())
    }

    fn run(&self, step: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
        match *step {
            Step::Add(n) => self.add(n, cx),
            Step::Ask => self.ask(cx),
            Step::Answer => self.answered.arrive(),
        }
        Ok(())
    }
}

/// Allows 32 open files and opens as many as there can be.
fn use_up_files() -> io::Result<Vec<File>> {
    lower(libc::RLIMIT_NOFILE, 32)?;
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    println!("process {}: {} files", process::id(), files.len());
    Ok(files)
}
