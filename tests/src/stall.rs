//! Runs that do not end: what their processes were doing, then an end to them.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::family::{Worker, kill_all, members};

/// A limit for a program that leads a session. When it is over, the processes of that session are
/// described and killed, so that whoever waits for the program sees its end.
#[derive(Debug)]
#[must_use = "the alarm is set while it lives"]
pub struct Alarm {
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<Option<String>>>,
}

impl Alarm {
    /// An alarm for the session of that process.
    pub fn after(limit: Duration, session: u32) -> Self {
        let (sender, receiver) = channel::<()>();
        let thread = thread::spawn(move || match receiver.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => {
                let text = format!("no end after {limit:?}\n{}", describe(session));
                kill_all(session);
                Some(text)
            }
            _ => None,
        });
        Self { ended: Some(sender), thread: Some(thread) }
    }

    /// Switches it off. Returns what it saw if it has gone off.
    pub fn off(mut self) -> Option<String> {
        drop(self.ended.take());
        self.thread.take().and_then(|thread| thread.join().ok().flatten())
    }
}

/// The processes of a session: what /proc knows of each thread; with `PRUNNER_DUMP` set also what a
/// debugger sees, and what prunner itself says when its parent process is asked by SIGQUIT.
pub fn describe(session: u32) -> String {
    let mut text = String::new();
    let members = members(session);
    for pid in &members {
        describe_process(*pid, &mut text);
    }
    if std::env::var_os("PRUNNER_DUMP").is_some() {
        for pid in &members {
            text += &stacks(*pid);
        }
        // It prints its state, and that of its workers, to its own standard error.
        if let Some(parent) = Worker::member(session, session) {
            parent.signal(libc::SIGQUIT);
        }
        thread::sleep(Duration::from_secs(2));
    }
    text
}

fn describe_process(pid: u32, text: &mut String) {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default().trim().to_string();
    let proc = Path::new("/proc").join(pid.to_string());
    let command = read(&proc.join("cmdline")).replace('\0', " ");
    let _ = writeln!(text, "process {pid}: {command}");
    let Ok(tasks) = fs::read_dir(proc.join("task")) else { return };
    for task in tasks.flatten() {
        let path = task.path();
        let stat = read(&path.join("stat"));
        let state = stat.rsplit_once(')').map_or("", |(_, rest)| rest.trim());
        let numbers: Vec<&str> = state.split(' ').collect();
        // State, and the times in user and kernel mode.
        let at = |n: usize| numbers.get(n).copied().unwrap_or("?");
        let _ = writeln!(
            text,
            "  thread {} {}: {} in {}, syscall {}, cpu {}+{}",
            task.file_name().to_string_lossy(),
            read(&path.join("comm")),
            at(0),
            read(&path.join("wchan")),
            read(&path.join("syscall")),
            at(11),
            at(12),
        );
    }
}

/// What all threads of a process are doing, where there is a debugger.
fn stacks(pid: u32) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-p", &pid.to_string(), "-batch", "-ex", "thread apply all bt"]);
    match gdb.output() {
        Ok(output) => format!("stacks of {pid}:\n{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => format!("no stacks of {pid}: {error}\n"),
    }
}
