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

/// Ends this process, a worker, and what its handlers have started.
pub(super) fn kill_own() -> ! {
    // SAFETY: getpid and kill take and return integers, _exit does not return; all three may be called in a
    // signal handler. If this process leads no group there is none of its number.
    unsafe {
        libc::kill(-libc::getpid(), libc::SIGKILL);
        libc::_exit(1)
    }
}

/// Lets this process, a worker, end together with what its handlers have started when its parent does. The
/// end of the socket tells it so; where the kernel can, it also sends a signal, for which no thread has to
/// wait.
pub(super) fn die_with_the_parent() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        extern "C" fn orphaned(_: libc::c_int) {
            kill_own()
        }

        // The last of those that are free for any use.
        let signal = libc::SIGRTMAX();
        catch(signal, orphaned)?;
        // SAFETY: this prctl takes a signal's number and affects this process only. The signal comes when the
        // thread ends that has started us, which lives as long as the run.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Lets this process go on if it is stopped when its parent ends, so that it can
/// [end](die_with_the_parent) itself. To be called on another thread than that: each has one such signal.
pub(super) fn go_on_without_parent() {
    #[cfg(target_os = "linux")]
    // SAFETY: this prctl takes a signal's number and affects this thread only.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGCONT);
    }
}

/// Has a signal handled by a function, if nothing else handles or ignores it.
fn catch(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> io::Result<()> {
    // SAFETY: all zeros are a valid sigaction: the default, no flags, an empty mask.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: sigaction writes into `now`, which lives.
    if unsafe { libc::sigaction(signal, std::ptr::null(), &mut now) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if now.sa_sigaction != libc::SIG_DFL {
        return Ok(());
    }
    now.sa_sigaction = handler as libc::sighandler_t;
    now.sa_flags = libc::SA_RESTART;
    // SAFETY: sigaction reads `now`, which lives; the callers' handlers may run anywhere.
    match unsafe { libc::sigaction(signal, &now, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets this process, a worker, survive the SIGINT that its parent passes on to its group. It is caught
/// rather than ignored: what handlers start would inherit that it is ignored.
pub(super) fn survive_interrupts() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}

    // If the program has a handler, or was started with it ignored, that stays.
    catch(libc::SIGINT, nothing)
}
