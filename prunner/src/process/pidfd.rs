//! The end of a process, seen by the process itself: another one may hold its socket open.

use std::{io, os::fd::OwnedFd};

/// A descriptor that can be read when the process has ended. `None` where there are none: then
/// [`has_ended`] must be asked now and then.
#[cfg(target_os = "linux")]
pub(super) fn open(pid: u32) -> Option<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: pidfd_open takes two integers. The process is our child and was not waited for.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just opened it, and nothing else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open(_: u32) -> Option<OwnedFd> {
    None
}

/// Whether a child has ended, which must not have been waited for. It need be waited for afterwards as
/// before.
pub(super) fn has_ended(pid: u32) -> io::Result<bool> {
    // SAFETY: all zeros are a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: waitid writes into `info`, which lives.
    if unsafe { libc::waitid(libc::P_PID, pid, &mut info, options) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // While it runs nothing is written.
    Ok(info.si_signo != 0)
}

#[cfg(test)]
mod tests {
    use std::{
        os::fd::AsFd,
        process::{Command, Stdio},
        time::Duration,
    };

    use super::*;
    use crate::process::poll::Poll;

    #[test]
    fn the_end_of_a_child_is_seen_before_it_is_waited_for() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat starts");
        assert!(!has_ended(child.id()).expect("it is our child"));
        let fd = open(child.id());
        assert!(fd.is_some() || !cfg!(target_os = "linux"), "it is there since Linux 5.3");
        let mut poll = Poll::default();
        for (ended, patience) in [(false, Duration::ZERO), (true, Duration::from_secs(60))] {
            if ended {
                drop(child.stdin.take());
            }
            let Some(fd) = &fd else { break };
            poll.clear();
            poll.add(fd.as_fd(), false);
            poll.wait(patience).expect("it can be waited for");
            assert_eq!(poll.is_ready(0), ended);
            assert_eq!(has_ended(child.id()).expect("it is our child"), ended);
        }
        drop(child.stdin.take());
        while !has_ended(child.id()).expect("it is our child") {
            std::thread::yield_now();
        }
        assert!(child.wait().expect("it is our child").success());
    }
}
