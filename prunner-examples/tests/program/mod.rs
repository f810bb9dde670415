//! Running an example as its user does.

use std::{
    ffi::OsStr,
    fs,
    process::{self, Command, Stdio},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// A program that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// What a program has left behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `program` to its end.
///
/// # Panics
///
/// When it hangs, or prints what is not UTF-8.
pub(crate) fn run<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> Finished {
    finish(program, Command::new(program).args(args))
}

/// Runs `program` to its end, after which nothing that it has started may be there any more.
///
/// # Panics
///
/// When something is, and as [`run`].
#[allow(dead_code, reason = "not all tests have programs with worker processes")]
pub(crate) fn run_alone<A: AsRef<OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = A>,
) -> Finished {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mark = format!("{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let finished = finish(program, Command::new(program).args(args).env(MARK, &mark));
    assert_eq!(marked(&mark), [""; 0], "{program} has left processes behind");
    finished
}

/// What a program and everything that it starts has in its environment.
const MARK: &str = "PRUNNER_EXAMPLES_MARK";

/// The command lines of processes that are marked so, where there is a `/proc`.
fn marked(mark: &str) -> Vec<String> {
    let mark = format!("{MARK}={mark}\0");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|it| it.path());
    let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let left = processes.filter(|it| text(it.join("environ")).contains(&mark));
    left.map(|it| text(it.join("cmdline"))).collect()
}

fn finish(program: &str, command: &mut Command) -> Finished {
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(LIMIT) else {
        let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
        panic!("{command:?} hangs");
    };
    let output = output.unwrap_or_else(|error| panic!("cannot wait for {program}: {error}"));
    let text = |bytes| String::from_utf8(bytes).expect("programs print UTF-8");
    Finished {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
