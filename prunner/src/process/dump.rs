//! A look at a run that seems to be stuck.
//!
//! With `PRUNNER_DUMP=SECONDS` in its environment the calling process prints the state of its run, and what
//! each worker says of its own, to standard error: on SIGQUIT, and whenever no task has ended for so many
//! seconds (0: only on SIGQUIT). Without it the signal is left alone.

use std::{
    env, io,
    io::Write,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The variable that switches this on.
const DUMP: &str = "PRUNNER_DUMP";

/// How often SIGQUIT has come.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// Knows when the state of a run is to be printed.
#[derive(Debug)]
pub(super) struct Dumps {
    /// The time without progress after which it is; `None` for never.
    stall: Option<Duration>,
    asked: u64,
    /// What there was done at the last progress or dump, and when that was.
    ended: u64,
    since: Instant,
}

impl Dumps {
    /// The longest time between two looks.
    pub(super) const EVERY: Duration = Duration::from_millis(500);

    /// `None` if they are not switched on.
    pub(super) fn from_environment() -> Option<Self> {
        let seconds = env::var(DUMP).ok()?.parse().ok()?;
        listen();
        Some(Self::after(Duration::from_secs(seconds)))
    }

    fn after(stall: Duration) -> Self {
        let stall = Some(stall).filter(|stall| !stall.is_zero());
        let asked = ASKED.load(Ordering::Relaxed);
        Self { stall, asked, ended: 0, since: Instant::now() }
    }

    /// Whether it is time for a dump, so many tasks having ended.
    pub(super) fn is_due(&mut self, ended: u64) -> bool {
        let now = Instant::now();
        let asked = ASKED.load(Ordering::Relaxed);
        let is_asked = std::mem::replace(&mut self.asked, asked) != asked;
        let stalls = self.stall.is_some_and(|stall| now - self.since >= stall);
        let moves = std::mem::replace(&mut self.ended, ended) != ended;
        let is_due = is_asked || (stalls && !moves);
        if moves || is_due {
            self.since = now;
        }
        is_due
    }
}

/// Prints in one piece: workers may print, too.
pub(super) fn print(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Counts SIGQUIT from now on, unless the program has a handler of its own.
fn listen() {
    extern "C" fn count(_: libc::c_int) {
        ASKED.fetch_add(1, Ordering::Relaxed);
    }

    static LISTEN: Once = Once::new();
    LISTEN.call_once(|| {
        // SAFETY: all zeros are a valid sigaction: the default, no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: sigaction writes into `action`, which lives.
        let known = unsafe { libc::sigaction(libc::SIGQUIT, std::ptr::null(), &mut action) } == 0;
        // A job that a script starts in the background inherits that it is ignored.
        if known && [libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction) {
            action.sa_sigaction = count as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            // SAFETY: sigaction reads `action`, which lives; the handler adds to an atomic number, which
            // may be done anywhere.
            unsafe { libc::sigaction(libc::SIGQUIT, &action, std::ptr::null_mut()) };
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_a_time_without_progress() {
        let stall = Duration::from_secs(60);
        let mut dumps = Dumps::after(stall);
        assert!(!dumps.is_due(0));
        dumps.since -= stall;
        assert!(!dumps.is_due(1), "something has ended meanwhile");
        assert!(!dumps.is_due(1));
        dumps.since -= stall;
        assert!(dumps.is_due(1));
        assert!(!dumps.is_due(1), "once each time");
        let mut never = Dumps::after(Duration::ZERO);
        never.since -= stall;
        assert!(!never.is_due(0));
        never.asked = never.asked.wrapping_sub(1);
        assert!(never.is_due(0) && !never.is_due(0));
    }
}
