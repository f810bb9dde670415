//! Counting by other means: a few lines of Python.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// What `script` prints about `path`; `None` where there is no Python.
///
/// # Panics
///
/// When the script fails.
pub(crate) fn python(script: &str, path: &Path) -> Option<String> {
    let mut command = Command::new("python3");
    command.arg("-").arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = command.spawn().ok()?;
    let mut stdin = python.stdin.take().expect("it is piped");
    stdin.write_all(script.as_bytes()).expect("Python reads its script");
    drop(stdin);
    let output = python.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "the script fails");
    Some(String::from_utf8(output.stdout).expect("scripts print UTF-8"))
}
