//! Waiting for sockets and pipes, and being woken from another thread.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

/// What to wait for.
#[derive(Debug, Default)]
pub(super) struct Poll {
    fds: Vec<libc::pollfd>,
}

impl Poll {
    pub(super) fn clear(&mut self) {
        self.fds.clear();
    }

    /// Waits for something to be read, and for room to write if `write` says so.
    pub(super) fn add(&mut self, fd: BorrowedFd<'_>, write: bool) {
        let events = if write { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
        self.fds.push(libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 });
    }

    /// Whether something has happened to what was added as number `at`.
    pub(super) fn is_ready(&self, at: usize) -> bool {
        self.fds.get(at).is_some_and(|fd| fd.revents != 0)
    }

    /// Waits, at most for `timeout`.
    pub(super) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        // Rounded up: who waits for a moment shall not come before it again and again.
        let millis = timeout.as_nanos().div_ceil(1_000_000);
        let millis = i32::try_from(millis).unwrap_or(i32::MAX);
        // SAFETY: `fds` is an array of that length, of descriptors that are open while this waits.
        let ready = unsafe { libc::poll(self.fds.as_mut_ptr(), self.fds.len() as _, millis) };
        match ready {
            0.. => Ok(()),
            _ => match io::Error::last_os_error() {
                error if error.kind() == ErrorKind::Interrupted => Ok(()),
                error => Err(error),
            },
        }
    }
}

/// Wakes a thread that polls.
#[derive(Debug)]
pub(super) struct Waker(UnixStream);

/// The end of the thread that is woken.
#[derive(Debug)]
pub(super) struct Woken(UnixStream);

pub(super) fn waker() -> io::Result<(Waker, Woken)> {
    let (waker, woken) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    Ok((Waker(waker), Woken(woken)))
}

impl Waker {
    pub(super) fn wake(&self) {
        // If there is no room for another byte, it is being woken already.
        let _ = (&self.0).write(&[0]);
    }
}

impl Woken {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Takes back all calls so far.
    pub(super) fn clear(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.0).read(&mut bytes), Ok(64)) {}
    }
}
