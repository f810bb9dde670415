//! How a worker process has ended, and who is to blame.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

/// The end of a worker process.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    /// What is said of it.
    pub(crate) how: String,
    pub(crate) blame: Blame,
}

/// Who is to blame for the end of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// What it ran.
    Tasks,
    /// Something outside: what it ran was interrupted.
    Outside,
}

/// Signals that end a process and are sent to it rather than caused by it.
const SENT: [libc::c_int; 5] =
    [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

/// Whether it was ended by a signal that another process has sent.
pub(super) fn is_sent(status: ExitStatus) -> bool {
    status.signal().is_some_and(|signal| SENT.contains(&signal))
}

/// How a process has ended: its exit code, or the signal by name. `memory_is_limited` says whether it had
/// a limit of its own.
pub(super) fn how(status: ExitStatus, memory_is_limited: bool) -> String {
    let name = match status.signal() {
        Some(libc::SIGABRT) if memory_is_limited => {
            "SIGABRT: it aborted, perhaps because it asked for more memory than max_memory allows"
        }
        Some(libc::SIGABRT) => "SIGABRT: it aborted",
        Some(libc::SIGKILL) => "SIGKILL: it was killed, perhaps by the kernel for want of memory",
        Some(libc::SIGSEGV) => "SIGSEGV: a bad memory access, or the stack overflowed",
        Some(libc::SIGXCPU) => "SIGXCPU: it used more CPU time than max_cpu_time allows",
        _ => return status.to_string(),
    };
    name.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_named_only_where_it_is_limited() {
        let aborted = ExitStatus::from_raw(libc::SIGABRT);
        assert_eq!(how(aborted, false), "SIGABRT: it aborted");
        assert!(how(aborted, true).contains("max_memory"));
    }

    #[test]
    fn a_crash_is_not_sent_and_a_kill_is() {
        let by = |signal| is_sent(ExitStatus::from_raw(signal));
        assert!(by(libc::SIGKILL) && by(libc::SIGTERM));
        assert!(!by(libc::SIGSEGV) && !by(libc::SIGABRT) && !by(libc::SIGXCPU));
        assert!(!is_sent(ExitStatus::from_raw(9 << 8)), "an exit code of 9");
    }
}
