//! Running an example as its user does.

use std::{
    ffi::OsStr,
    process::{Command, Stdio},
    sync::mpsc,
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
    let mut command = Command::new(program);
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
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
