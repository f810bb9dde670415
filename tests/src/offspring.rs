//! Which processes there are: no worker may be left when its run is over.

use std::{
    fs, process, thread,
    time::{Duration, Instant},
};

/// The processes that this one has started and not waited for, those that have ended included.
pub fn children() -> Vec<u32> {
    let me = process::id().to_string();
    // The fields after the name, which is in parentheses: state, parent.
    let is_mine = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        fields.split_whitespace().nth(1) == Some(&*me)
    };
    all().filter(is_mine).collect()
}

/// The processes in whose environment `name` is `value`: a program and everything that it has started.
pub fn marked(name: &str, value: &str) -> Vec<u32> {
    let mark = format!("{name}={value}");
    let is_marked = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
    };
    all().filter(is_marked).collect()
}

/// Whether such a process runs: one that has ended and was not waited for does not.
pub fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| !fields.trim_start().starts_with('Z'))
}

/// Asks `left` until it names nobody any more.
///
/// # Panics
///
/// When it still names somebody after `limit`.
pub fn assert_gone_within(limit: Duration, left: impl Fn() -> Vec<u32>) {
    let start = Instant::now();
    loop {
        let pids = left();
        if pids.is_empty() {
            return;
        }
        let told = || pids.iter().map(|pid| command_line(*pid)).collect::<Vec<_>>();
        assert!(start.elapsed() < limit, "still there after {limit:?}: {:?}", told());
        thread::yield_now();
    }
}

fn command_line(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid}: {}", String::from_utf8_lossy(&line).replace('\0', " "))
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("there is a /proc").map_while(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
