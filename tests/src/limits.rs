//! What a program that a test starts may use.

use std::io;

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
