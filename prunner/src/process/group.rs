//! The process groups of workers: what their handlers have started ends with them.
//!
//! Each worker leads a group of its own, in which are all programs that its handlers start, unless they
//! leave it. The group has the number of the worker, which stays its own until the worker was waited for;
//! so a group is signalled before that, and never after.

use std::io;

use parking_lot::Mutex;

/// The groups of all workers of this process that were not waited for yet.
static GROUPS: Mutex<Vec<libc::pid_t>> = Mutex::new(Vec::new());

/// The group of one worker. It is forgotten when this is dropped, which must be before the worker is waited
/// for.
#[derive(Debug)]
pub(super) struct Group(libc::pid_t);

impl Group {
    /// The group of the worker `pid`.
    pub(super) fn of(pid: u32) -> Self {
        let pid = libc::pid_t::try_from(pid).expect("the number of a process");
        GROUPS.lock().push(pid);
        Self(pid)
    }

    /// Kills the worker and all that its handlers have started.
    pub(super) fn kill(&self) {
        send(self.0, libc::SIGKILL);
    }

    /// Passes Ctrl-C on to what handlers have started. The worker itself survives it.
    pub(super) fn interrupt(&self) {
        send(self.0, libc::SIGINT);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        GROUPS.lock().retain(|pid| *pid != self.0);
    }
}

/// Kills all workers of this process and what their handlers have started: it is about to end.
#[cfg_attr(not(feature = "ctrlc"), expect(dead_code, reason = "the second Ctrl-C does it"))]
pub(crate) fn kill_all() {
    GROUPS.lock().iter().for_each(|pid| send(*pid, libc::SIGKILL));
}

fn send(group: libc::pid_t, signal: libc::c_int) {
    // SAFETY: kill takes two integers. The leader was not waited for, so the number is still its own.
    // That the group is gone is no error.
    let _ = unsafe { libc::kill(-group, signal) };
}

/// Lets this process, a worker, survive the SIGINT that its parent passes on to its group. It is caught
/// rather than ignored: what handlers start would inherit that it is ignored.
pub(super) fn survive_interrupts() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}

    // SAFETY: all zeros are a valid sigaction: the default, no flags, an empty mask.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: sigaction writes into `now`, which lives.
    if unsafe { libc::sigaction(libc::SIGINT, std::ptr::null(), &mut now) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if now.sa_sigaction != libc::SIG_DFL {
        // The program has a handler, or whoever has started it wants it ignored.
        return Ok(());
    }
    now.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    now.sa_flags = libc::SA_RESTART;
    // SAFETY: sigaction reads `now`, which lives; the handler does nothing, so it may run anywhere.
    match unsafe { libc::sigaction(libc::SIGINT, &now, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
