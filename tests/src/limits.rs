//! What a program that a test starts may use.

use std::{io, process::Command};

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
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Allows so many threads of all processes of this user. The limit does not hold for root, so root
/// becomes nobody.
///
/// # Errors
///
/// As `setrlimit(2)` and `setuid(2)`.
pub fn allow_no_more_processes_than(most: u64) -> io::Result<()> {
    const NOBODY: libc::uid_t = 65_534;
    lower(libc::RLIMIT_NPROC, most)?;
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
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
    let used = pages.expect("the first number of statm") * 4096;
    lower(libc::RLIMIT_AS, used + stack * threads as u64 + stack / 2)
}
