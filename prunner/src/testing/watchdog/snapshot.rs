//! What a process and those that it has started are doing, as `/proc` shows it.

use std::{collections::BTreeMap, fmt::Write, fs, process};

/// One process.
pub(super) struct Member {
    pid: u32,
    status: BTreeMap<String, String>,
}

impl Member {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        let status = fields.map(|(name, value)| (name.to_string(), value.trim().to_string()));
        Some(Self { pid, status: status.collect() })
    }

    fn field(&self, name: &str) -> &str {
        self.status.get(name).map_or("", String::as_str)
    }

    fn parent(&self) -> Option<u32> {
        self.field("PPid").parse().ok()
    }

    /// Whether it has a handler for SIGQUIT: to others that signal is the end.
    fn handles_quit(&self) -> bool {
        let caught = u64::from_str_radix(self.field("SigCgt"), 16).unwrap_or(0);
        caught & 1 << (libc::SIGQUIT - 1) != 0
    }

    fn signal(&self, signal: libc::c_int) {
        if let Ok(pid) = libc::pid_t::try_from(self.pid) {
            // SAFETY: kill takes two integers. It is this process or one that it has started.
            let _ = unsafe { libc::kill(pid, signal) };
        }
    }
}

/// This process, first, and all that descend from it.
pub(super) fn family() -> Vec<Member> {
    let mut others: Vec<Member> = numbers("/proc").into_iter().filter_map(Member::read).collect();
    let mut family: Vec<Member> = Member::read(process::id()).into_iter().collect();
    let mut next = 0;
    while let Some(parent) = family.get(next).map(|it| it.pid) {
        let is_child = |it: &mut Member| it.parent() == Some(parent);
        family.extend(others.extract_if(.., is_child));
        next += 1;
    }
    family
}

/// What all of them are doing, thread by thread.
pub(super) fn describe(family: &[Member]) -> String {
    let mut text = String::new();
    for member in family {
        let pid = member.pid;
        let command = read(&format!("/proc/{pid}/cmdline")).replace('\0', " ");
        let parent = member.field("PPid");
        let _ = writeln!(text, "process {pid}, child of {parent}: {}", command.trim_end());
        let signals = ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"];
        let signals = signals.map(|it| format!("{it} {}", member.field(it)));
        let _ = writeln!(text, "  {}; {}", member.field("VmRSS"), signals.join(" "));
        for thread in numbers(&format!("/proc/{pid}/task")) {
            describe_thread(&mut text, &format!("/proc/{pid}/task/{thread}"), thread);
        }
    }
    text
}

fn describe_thread(text: &mut String, path: &str, thread: u32) {
    let stat = read(&format!("{path}/stat"));
    let state = stat.rsplit_once(") ").and_then(|it| it.1.split(' ').next()).unwrap_or("gone");
    let name = read(&format!("{path}/comm"));
    let waits = read(&format!("{path}/wchan"));
    let call = read(&format!("{path}/syscall"));
    let _ = writeln!(text, "  thread {thread} {name:?}: {state}, in {waits}, call {call}");
    // For root alone.
    for frame in read(&format!("{path}/stack")).lines() {
        let _ = writeln!(text, "    {frame}");
    }
}

/// Asks those who have something to say on SIGQUIT to say it; false if there are none.
pub(super) fn ask_for_last_words(family: &[Member]) -> bool {
    let able: Vec<&Member> = family.iter().filter(|it| it.handles_quit()).collect();
    able.iter().for_each(|it| it.signal(libc::SIGQUIT));
    !able.is_empty()
}

/// Kills those that this process has started: nothing else would end them.
pub(super) fn kill_descendants(family: &[Member]) {
    family.iter().skip(1).for_each(|it| it.signal(libc::SIGKILL));
}

fn read(path: &str) -> String {
    let text = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&text).trim_end().to_string()
}

/// The entries of a directory that are numbers.
fn numbers(path: &str) -> Vec<u32> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
