//! What a program that a test starts may use.

use std::{fs, io, process::Command};

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// Lowers a limit of this process for good.
///
/// # Errors
///
/// As `setrlimit(2)`.
pub fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: to, rlim_max: to };
    // SAFETY: `limit` is a valid `rlimit` for the time of the call.
    check(unsafe { libc::setrlimit(resource, &limit) })
}

/// Allows so many threads of all processes that this one and its descendants are, whatever else this
/// user runs, and however often this happens at the same time.
///
/// The limit counts the threads of a user, and does not hold for root. So root becomes a user that is
/// nobody else's, and anybody else enters a user namespace, in which its count begins again. Where that
/// is forbidden, the threads that the user has now are added to the limit.
///
/// # Errors
///
/// As `setrlimit(2)`, `setuid(2)` and `unshare(2)`.
pub fn allow_no_more_processes_than(most: u64) -> io::Result<()> {
    // SAFETY: geteuid cannot fail and touches nothing.
    if unsafe { libc::geteuid() } == 0 {
        lower(libc::RLIMIT_NPROC, most)?;
        become_unique()
    } else {
        // A namespace remembers the limit of its creator and holds it, too: it comes first.
        match check(unshare_user()) {
            Ok(()) => lower(libc::RLIMIT_NPROC, most),
            Err(_) => lower(libc::RLIMIT_NPROC, most + threads_of_others()?),
        }
    }
}

/// The threads of this user's other processes.
fn threads_of_others() -> io::Result<u64> {
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
    };
    let mine = fs::read_to_string("/proc/self/status")?;
    let all = fs::read_dir("/proc")?.flatten().map(|entry| entry.path().join("status"));
    let all = all.filter_map(|path| fs::read_to_string(path).ok());
    let others = all.filter(|it| {
        field(it, "Uid:") == field(&mine, "Uid:") && field(it, "Pid:") != field(&mine, "Pid:")
    });
    Ok(others.filter_map(|it| field(&it, "Threads:")).sum())
}

/// Takes a number that no user has and no other process takes.
fn become_unique() -> io::Result<()> {
    const FIRST: libc::uid_t = 1 << 30;
    // SAFETY: setuid takes an integer; this process has one thread.
    check(unsafe { libc::setuid(FIRST + std::process::id()) })
}

fn unshare_user() -> libc::c_int {
    // SAFETY: unshare takes an integer; this process has one thread.
    unsafe { libc::unshare(libc::CLONE_NEWUSER) }
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes stacks so large that there is no doubt how many fit; a heap for each thread would blur that.
pub fn with_large_stacks(command: &mut Command) -> &mut Command {
    command.env("RUST_MIN_STACK", (64 << 20).to_string()).env("MALLOC_ARENA_MAX", "1")
}

/// Leaves address space for so many [large](with_large_stacks) stacks and half a one for all the rest.
///
/// # Errors
///
/// As `setrlimit(2)`.
///
/// # Panics
///
/// When nobody has made stacks large.
pub fn leave_memory_for(threads: usize) -> io::Result<()> {
    let stack = std::env::var("RUST_MIN_STACK").ok().and_then(|it| it.parse::<u64>().ok());
    let stack = stack.expect("a size of stacks");
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
    let used = pages.expect("the first number of statm") * 4096;
    lower(libc::RLIMIT_AS, used + stack * threads as u64 + stack / 2)
}
