//! A run whose machine gives it less than it wants; see `tests/threads_unavailable.rs`.
//!
//! Arguments: what is short (or what is done where memory is), and how many threads beside the
//! caller's there are to be.

use std::{
    fs::File,
    io, process,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use prunner::{Error, Key, Runner, Sum, Task};
use prunner_tests::{gate::Gate, log_lines::print_warnings, program::program, random::Random};

const WORKERS: usize = 10;
const SUM: Key<Sum<u64>> = Key::new("sum");

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let short = arguments.next().expect("what is short");
    let threads: usize = arguments.next().and_then(|it| it.parse().ok()).expect("how many threads");
    print_warnings();
    let files = match short.as_str() {
        "memory" | "ctrlc" | "asking" => leave_memory_for(threads).map(|()| Vec::new()),
        "processes" => allow_no_more_processes().map(|()| Vec::new()),
        "files" => use_up_files(),
        _ => panic!("what is {short}?"),
    };
    let files = files.expect("the limits can be lowered");
    match short.as_str() {
        "asking" => ask_the_others()?,
        _ => run(threads + 1, short == "files" || short == "ctrlc")?,
    }
    drop(files);
    Ok(())
}

/// Runs a thousand tasks of which the first ones wait for each other: they need that many workers.
fn run(together: usize, ctrlc: bool) -> Result<(), Error> {
    let (meeting, started) = (Barrier::new(together), AtomicUsize::new(0));
    let tasks = program(
        |cx| {
            cx.post_all((0..1000).map(|n| Task::new("task", n)));
            Ok(())
        },
        |task: &Task<u64>, cx| {
            if started.fetch_add(1, Ordering::SeqCst) < together {
                meeting.wait();
            }
            cx.merge(SUM, Sum(task.data));
            Ok(())
        },
    );
    let report = Runner::new(tasks).workers(WORKERS).ctrlc(ctrlc).start()?;
    let sum = report.dict().get(SUM).unwrap_or_default().0;
    println!("{} of {} workers: {sum}", report.workers_started(), report.workers());
    Ok(())
}

/// Those who could be started are still woken: one worker asks and the others, who are on their way to
/// sleep or asleep, answer.
fn ask_the_others() -> Result<(), Error> {
    const QUESTIONS: u64 = 500;
    let answered = Gate::new();
    let asking = program(
        |cx| {
            cx.post(Task::new("ask", 0));
            Ok(())
        },
        |task: &Task<u64>, cx| {
            if task.label == "answer" {
                answered.arrive();
                return Ok(());
            }
            let mut random = Random::new(QUESTIONS);
            for question in 1..=QUESTIONS {
                cx.post_all((0..WORKERS).map(|_| Task::new("answer", question)));
                cx.flush();
                answered.wait_for(question * WORKERS as u64);
                (0..random.below(100)).for_each(|_| thread::yield_now());
            }
            Ok(())
        },
    );
    let report = Runner::new(asking).workers(WORKERS).start()?;
    println!(
        "{} of {} workers: {}",
        report.workers_started(),
        report.workers(),
        answered.arrived()
    );
    Ok(())
}

/// The stack of a thread, as the test has set it.
fn stack() -> u64 {
    std::env::var("RUST_MIN_STACK").ok().and_then(|it| it.parse().ok()).expect("a size of stacks")
}

/// Leaves address space for so many stacks and half a one for all the rest.
fn leave_memory_for(threads: usize) -> io::Result<()> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
    let used = pages.expect("the first number of statm") * 4096;
    lower(libc::RLIMIT_AS, used + stack() * threads as u64 + stack() / 2)
}

/// The limit does not hold for root, so root becomes nobody.
fn allow_no_more_processes() -> io::Result<()> {
    const NOBODY: libc::uid_t = 65_534;
    lower(libc::RLIMIT_NPROC, 1)?;
    // SAFETY: geteuid cannot fail and touches nothing.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    // SAFETY: setuid takes an integer; this process has one thread.
    match unsafe { libc::setuid(NOBODY) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Allows 32 open files and opens as many as there can be.
fn use_up_files() -> io::Result<Vec<File>> {
    lower(libc::RLIMIT_NOFILE, 32)?;
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    println!("process {}: {} files", process::id(), files.len());
    Ok(files)
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: to, rlim_max: to };
    // SAFETY: `limit` is a valid `rlimit` for the time of the call.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
