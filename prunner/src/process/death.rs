//! How a worker process has ended, and what is to blame.

use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use super::oom::OutOfMemory;
use crate::settings::Limits;

/// The end of a worker process.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    /// What is said of it.
    pub(crate) how: String,
    pub(crate) blame: Blame,
    kind: Kind,
}

/// What is to blame for the end of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// What it ran.
    Tasks,
    /// Something outside: what it ran was interrupted.
    Outside,
}

/// How a worker process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// With an exit code.
    Exited,
    /// By a signal that it has caused itself.
    Crashed,
    /// Killed by another process, or by the kernel.
    Sent,
    /// Killed here, because it was not ready in time.
    Late,
    /// Killed here, for another reason.
    Killed,
}

/// Why this program has killed a worker.
#[derive(Clone, Debug)]
pub(super) enum Kill {
    /// It has said nothing for so long.
    Silent(Duration),
    /// It was not ready within this time.
    Late(Duration),
    /// It has said something that makes no sense.
    Nonsense(String),
    /// It is not needed any more, or its run has failed.
    Over,
}

/// Signals that end a process and are sent to it rather than caused by it.
const SENT: [libc::c_int; 5] =
    [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

impl Death {
    /// An end of which no more is known.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn new(how: &str, blame: Blame) -> Self {
        Self { how: how.into(), blame, kind: Kind::Crashed }
    }

    /// The end of a worker that this program has killed.
    pub(super) fn by(kill: &Kill) -> Self {
        let (how, blame, kind) = match kill {
            Kill::Silent(time) => {
                let how = format!(
                    "it said nothing for {:.1} s, twice its lease, and was killed: it was stopped or the \
                     machine is overloaded; a longer Runner::lease helps",
                    time.as_secs_f64()
                );
                (how, Blame::Outside, Kind::Killed)
            }
            Kill::Late(time) => {
                let how = format!("it was killed because it was not ready after {time:?}");
                (how, Blame::Outside, Kind::Late)
            }
            Kill::Nonsense(why) => (why.clone(), Blame::Tasks, Kind::Killed),
            Kill::Over => {
                let how = "it was killed because its run is over".to_string();
                (how, Blame::Outside, Kind::Killed)
            }
        };
        Self { how, blame, kind }
    }

    /// The end of a worker that was not killed here.
    pub(super) fn of(
        status: io::Result<ExitStatus>,
        out_of_memory: &mut OutOfMemory,
        limits: &Limits,
    ) -> Self {
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                return Self { how: error.to_string(), blame: Blame::Outside, kind: Kind::Sent };
            }
        };
        let kind = match status.signal() {
            None => Kind::Exited,
            Some(signal) if SENT.contains(&signal) => Kind::Sent,
            Some(_) => Kind::Crashed,
        };
        let outside = kind == Kind::Sent && !out_of_memory.has_struck();
        let blame = if outside { Blame::Outside } else { Blame::Tasks };
        Self { how: how(status, limits), blame, kind }
    }

    /// Whether any other worker would end like this one, which has ended before it was ready. One that
    /// was killed from outside says nothing about the next, and one that has crashed not much: the signal
    /// may have been sent.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.kind, Kind::Exited | Kind::Late)
    }

    /// Whether the worker seems to have crashed by itself.
    pub(super) fn is_crash(&self) -> bool {
        self.kind == Kind::Crashed
    }

    /// What is said of a worker that has ended before it was ready, with the cure.
    pub(super) fn before_ready(&self, limits: &Limits) -> String {
        const ENTRY: &str = "main must call prunner::worker_entry::<R>() before anything else, R being the \
                             type of the runner";
        let how = &self.how;
        match self.kind {
            Kind::Exited => format!("ended before it was ready: {how}; {ENTRY}"),
            Kind::Late => format!(
                "did not start: {how}; {ENTRY}, and if it takes longer until then, \
                 Runner::start_timeout must be longer"
            ),
            _ => match limits.memory {
                Some(bytes) => format!(
                    "died before it was ready: {how}; it may need more than max_memory({bytes}) to begin"
                ),
                None => format!("died before it was ready: {how}"),
            },
        }
    }
}

/// How a process has ended: its exit code, or the signal by name.
fn how(status: ExitStatus, limits: &Limits) -> String {
    let name = match status.signal() {
        Some(libc::SIGABRT) if limits.memory.is_some() => {
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

    fn death(signal: libc::c_int, memory: Option<u64>) -> Death {
        let limits = Limits { memory, ..Limits::default() };
        Death::of(Ok(ExitStatus::from_raw(signal)), &mut OutOfMemory::new(), &limits)
    }

    #[test]
    fn memory_is_named_only_where_it_is_limited() {
        assert_eq!(death(libc::SIGABRT, None).how, "SIGABRT: it aborted");
        assert!(death(libc::SIGABRT, Some(1)).how.contains("max_memory"));
    }

    #[test]
    fn only_what_is_sent_comes_from_outside() {
        let blame = |signal| death(signal, None).blame;
        assert_eq!(blame(libc::SIGTERM), Blame::Outside);
        for signal in [libc::SIGSEGV, libc::SIGABRT, libc::SIGXCPU, 9 << 8] {
            assert_eq!(blame(signal), Blame::Tasks, "{signal}");
        }
        assert_eq!(Death::by(&Kill::Silent(Duration::ZERO)).blame, Blame::Outside);
        assert_eq!(Death::by(&Kill::Nonsense("no".into())).blame, Blame::Tasks);
    }

    #[test]
    fn a_worker_that_was_killed_while_it_started_is_replaced() {
        for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGSEGV] {
            assert!(!death(signal, None).is_final(), "{signal}");
        }
        assert!(death(1 << 8, None).is_final());
        assert!(Death::by(&Kill::Late(Duration::ZERO)).is_final());
        assert!(!Death::by(&Kill::Over).is_final());
    }
}
