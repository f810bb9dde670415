//! What is done to worker processes, by the handlers themselves.

use std::{
    hint::black_box,
    io::{self, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{self, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use prunner::{Context, Key, Labeled, Sum, TaskResult};
use serde::{Deserialize, Serialize};

use crate::{
    meeting::Invitation,
    travelling::{Handler, Travelling},
};

/// What was merged by deeds that have finished.
pub const SUM: Key<Sum<u64>> = Key::new("sum");

/// What was added under the lock by deeds that have finished.
pub const LOCKED: Key<u64> = Key::new("locked");

/// A task.
#[derive(Clone, Debug, Labeled, Serialize, Deserialize)]
pub enum Deed {
    /// Adds to the sum.
    Add(u64),
    /// Adds under the lock.
    Lock(u64),
    /// Adds to the sum, then meets the test.
    Meet(u64),
    /// Adds under the lock and meets the test while it holds it.
    Hold(u64),
    /// Meets the test, then aborts.
    Abort(u64),
    /// Meets the test, then asks for so many MiB and uses them.
    Eat(u64),
    /// Meets the test, then computes for ever.
    Spin(u64),
    /// Meets the test, then waits for ever.
    Sleep(u64),
    /// Meets the test, then calls itself for ever.
    Sink(u64),
    /// Computes for so many milliseconds, then adds 1 to the sum.
    Work(u64),
    /// Prints so many lines on the standard output and on the standard error.
    Print(u64),
    /// Forks, meets the test with the number of the child, which waits for ever, and adds 1 to the sum. If
    /// told so, the child leaves the group of its parent.
    Fork(bool),
    /// Adds 1 to the sum; its process will never end by itself.
    Linger,
    /// Runs a shell command that waits, meets the test with its number, and then either waits for its end
    /// and adds 1 to the sum, or does what follows.
    Run(String, Then),
    /// Starts this program once more, for the scene of that name, and expects it to end well.
    Start(String),
    /// The same, with a socket as its standard input.
    StartAtSocket(String),
}

/// What becomes of a deed that has started a command.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Then {
    /// It waits for its end.
    Wait,
    /// It finishes without waiting.
    Finish,
    /// It aborts.
    Abort,
}

/// The handler.
#[derive(Debug, Serialize, Deserialize)]
pub struct Deeds(Invitation);

/// A program of deeds.
pub type Program = Travelling<Deeds>;

impl Deeds {
    /// Deeds that meet there.
    pub fn at(invitation: &Invitation) -> Self {
        Self(invitation.clone())
    }
}

impl Handler for Deeds {
    type Task = Deed;

    fn run(&self, deed: &Deed, cx: &mut Context<'_, Deed>) -> TaskResult {
        let meet = |n: &u64| self.0.meet(&n.to_string());
        match deed {
            Deed::Add(n) => cx.merge(SUM, Sum(*n)),
            Deed::Lock(n) => *cx.lock().entry(LOCKED).or_default() += n,
            Deed::Meet(n) => {
                cx.merge(SUM, Sum(*n));
                meet(n);
            }
            Deed::Hold(n) => {
                let mut lock = cx.lock();
                *lock.entry(LOCKED).or_default() += n;
                meet(n);
            }
            Deed::Abort(n) => {
                meet(n);
                process::abort();
            }
            Deed::Eat(n) => {
                meet(n);
                let eaten = black_box(vec![1_u8; (n << 20) as usize]);
                cx.merge(SUM, Sum(eaten.len() as u64));
            }
            Deed::Spin(n) => {
                meet(n);
                loop {
                    black_box(n);
                }
            }
            Deed::Sleep(n) => {
                meet(n);
                loop {
                    thread::park();
                }
            }
            Deed::Sink(n) => {
                meet(n);
                cx.merge(SUM, Sum(sink(*n)));
            }
            Deed::Work(millis) => {
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(*millis) {
                    black_box(millis);
                }
                cx.merge(SUM, Sum(1));
            }
            Deed::Print(lines) => print(*lines)?,
            Deed::Fork(leaves) => {
                meet(&fork(*leaves));
                cx.merge(SUM, Sum(1));
            }
            Deed::Linger => {
                extern "C" fn wait() {
                    loop {
                        thread::park();
                    }
                }
                // SAFETY: the function takes nothing and may run at any time.
                unsafe { libc::atexit(wait) };
                cx.merge(SUM, Sum(1));
            }
            Deed::Run(command, then) => {
                let mut child = Command::new("sh").args(["-c", command]).spawn()?;
                meet(&child.id().into());
                match then {
                    Then::Wait => drop(child.wait()?),
                    Then::Finish => {}
                    Then::Abort => process::abort(),
                }
                cx.merge(SUM, Sum(1));
            }
            Deed::Start(scene) => start(scene, Stdio::null())?,
            Deed::StartAtSocket(scene) => {
                let (_, theirs) = UnixStream::pair()?;
                start(scene, OwnedFd::from(theirs).into())?;
            }
        }
        Ok(())
    }
}

/// Forks without exec, as programs do that make a daemon of themselves; the number of the child.
fn fork(leaves: bool) -> u64 {
    // SAFETY: the child does nothing but call setsid and pause, which may be called after a fork.
    match unsafe { libc::fork() } {
        0 => loop {
            // SAFETY: they take no arguments.
            unsafe {
                if leaves {
                    libc::setsid();
                }
                libc::pause();
            }
        },
        child => u64::try_from(child).expect("there may be one more process"),
    }
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn sink(n: u64) -> u64 {
    let depth = black_box([n; 100]);
    depth[1] + sink(n + 1) + depth[2]
}

/// The length of a line that is printed, without its end.
pub const LINE: usize = 99;

/// The line that a deed prints: `of` says to where.
pub fn line(of: &str, n: u64) -> String {
    format!("{:x<LINE$}", format!("{of} {n} "))
}

/// Each line in one piece: others write to the same place.
fn print(lines: u64) -> io::Result<()> {
    for n in 0..lines {
        io::stdout().write_all((line("out", n) + "\n").as_bytes())?;
        io::stderr().write_all((line("err", n) + "\n").as_bytes())?;
    }
    Ok(())
}

fn start(scene: &str, stdin: Stdio) -> TaskResult {
    let mut program = Command::new(std::env::current_exe()?);
    let output = program.args([scene, ""]).stdin(stdin).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(format!("{output:?}").into());
    }
    println!("started: {text}");
    Ok(())
}
