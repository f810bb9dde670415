//! What the flags of all examples do, shown by a program whose tasks say, take and last as much as they
//! are asked to; see `tests/flags.rs`.

use std::{
    hint::black_box,
    process::ExitCode,
    sync::{Condvar, Mutex},
    time::Duration,
};

use clap::Parser;
use prunner::{MessageLoop, post_task, task};
use prunner_examples::RunFlags;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    run: RunFlags,
    /// So many tasks that print a line each
    #[arg(long, default_value_t = 0)]
    lines: u64,
    /// A task that uses so many MiB
    #[arg(long)]
    eat: Option<usize>,
    /// So many tasks that wait for each other, which takes as many threads in one process
    #[arg(long, default_value_t = 0)]
    together: usize,
    /// A task that posts itself again and again
    #[arg(long)]
    for_ever: bool,
}

#[task]
fn print_line(number: u64) {
    println!("line {number}");
}

#[task]
fn eat(mebibytes: usize) {
    drop(black_box(vec![1_u8; mebibytes << 20]));
}

#[task]
fn meet(all: usize) -> Result<(), String> {
    /// Nothing else takes so long.
    const PATIENCE: Duration = Duration::from_secs(10);
    static ARRIVED: Mutex<usize> = Mutex::new(0);
    static CHANGED: Condvar = Condvar::new();
    let mut arrived = ARRIVED.lock().map_err(|error| error.to_string())?;
    *arrived += 1;
    CHANGED.notify_all();
    let waited = CHANGED.wait_timeout_while(arrived, PATIENCE, |arrived| *arrived < all);
    match waited.map_err(|error| error.to_string())?.1.timed_out() {
        true => Err("the others do not come".to_string()),
        false => Ok(()),
    }
}

#[task]
fn start() {
    println!("started");
    post_task(go_on, ());
}

#[task]
fn go_on() {
    post_task(go_on, ());
}

fn main() -> ExitCode {
    prunner::worker_entry::<MessageLoop>();
    let Flags { run, lines, eat: mebibytes, together, for_ever } = Flags::parse();
    let begin = move || {
        (0..lines).for_each(|number| post_task(print_line, number));
        mebibytes.into_iter().for_each(|it| post_task(eat, it));
        (0..together).for_each(|_| post_task(meet, together));
        if for_ever {
            post_task(start, ());
        }
    };
    run.start(MessageLoop::new(begin, || ()))
}
