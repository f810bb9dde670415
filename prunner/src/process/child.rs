//! One worker process, seen by its parent: how it is started, its socket, its output.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use super::{WORKER, build, death::Kill, group::Group, name_of, pidfd, wire::Inbox};
use crate::worker_test::worker_test;

/// A worker process that was started and not yet waited for. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    child: Child,
    /// It, and what its handlers have started; `None` once it was waited for.
    group: Option<Group>,
    /// Can be read when it has ended, where that can be had.
    pidfd: Option<OwnedFd>,
    pub(super) socket: UnixStream,
    pub(super) inbox: Inbox,
    /// What is to be sent to it, and how much of it was.
    sending: Vec<u8>,
    sent: usize,
    /// Its standard output and standard error, if they come here.
    pub(super) pipes: Vec<Pipe>,
    pub(super) stage: Stage,
    /// When it was started, and when it was heard of last, by the clocks of the supervisor.
    pub(super) started: Duration,
    pub(super) heard: Duration,
    /// Why it was killed, if this program did so.
    pub(super) killed: Option<Kill>,
}

/// How far the conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The greeting was sent.
    Greeted,
    /// It is the same program.
    Welcomed,
    /// It works.
    Ready,
}

impl WorkerProcess {
    /// Starts this program once more as a worker.
    pub(super) fn start(first_words: Vec<u8>, prefixed: bool) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let theirs = File::from(OwnedFd::from(theirs));
        let output = || if prefixed { Stdio::piped() } else { Stdio::inherit() };
        let mut child = Command::new(build::executable()?)
            .arg0(env::args_os().next().unwrap_or_else(|| "prunner-worker".into()))
            .args(arguments())
            .env(WORKER, name_of(&theirs)?)
            .stdin(theirs)
            .stdout(output())
            .stderr(output())
            // Ctrl-C in the terminal is for the parent, which knows what to do about it.
            .process_group(0)
            .spawn()?;
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        let pipes = stdout.map(|it| Pipe::new(it, false)).into_iter();
        let pipes = pipes.chain(stderr.map(|it| Pipe::new(it, true)));
        let pipes = pipes.collect::<io::Result<_>>();
        let mut started = Self {
            group: Some(Group::of(child.id())),
            pidfd: pidfd::open(child.id()),
            child,
            socket,
            inbox: Inbox::default(),
            sending: first_words,
            sent: 0,
            pipes: Vec::new(),
            stage: Stage::Greeted,
            started: Duration::ZERO,
            heard: Duration::ZERO,
            killed: None,
        };
        started.pipes = pipes?;
        Ok(started)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends what there is to be sent, `more` behind the rest of the last time, as far as it goes.
    pub(super) fn send(&mut self, more: &mut Vec<u8>) -> io::Result<()> {
        loop {
            if self.sent == self.sending.len() {
                (self.sent, self.sending) = (0, std::mem::take(more));
                if self.sending.is_empty() {
                    return Ok(());
                }
            }
            match (&self.socket).write(&self.sending[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether something is still to be sent.
    pub(super) fn is_sending(&self) -> bool {
        self.sent < self.sending.len()
    }

    /// Can be read when it has ended, also while another process holds its socket open; `None` where
    /// there is no such thing:
    /// then [`has_ended`](WorkerProcess::has_ended) must be asked.
    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn has_ended(&self) -> bool {
        pidfd::has_ended(self.child.id()).unwrap_or(false)
    }

    /// Kills it and what its handlers have started; the first reason is kept. It is gone when
    /// [`end`](WorkerProcess::end) returns.
    pub(super) fn kill(&mut self, why: Kill) {
        self.killed.get_or_insert(why);
        self.kill_all();
    }

    /// Kills what its handlers have started, and itself if it has not ended.
    pub(super) fn kill_all(&mut self) {
        let Some(group) = &self.group else { return };
        group.kill();
        // It may be gone already, or have gone to another group.
        let _ = self.child.kill();
    }

    /// Passes Ctrl-C on to what its handlers have started.
    pub(super) fn interrupt(&self) {
        if let Some(group) = &self.group {
            group.interrupt();
        }
    }

    /// Waits for its end: it has ended, or is killed now.
    pub(super) fn end(mut self) -> (io::Result<ExitStatus>, Vec<Pipe>) {
        (self.bury(), std::mem::take(&mut self.pipes))
    }

    fn bury(&mut self) -> io::Result<ExitStatus> {
        self.kill_all();
        // From now on its number may be that of another one.
        self.group = None;
        self.child.wait()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        if self.group.is_some() {
            let _ = self.bury();
        }
    }
}

/// What a worker is called with: what this program was called with, because whatever `main` does before
/// `worker_entry` may need it; or, if this is a test program, the test that makes a worker of it.
fn arguments() -> Vec<OsString> {
    match worker_test() {
        None => env::args_os().skip(1).collect(),
        Some(test) => [&test, "--exact", "--nocapture", "--quiet"].map(OsString::from).into(),
    }
}

/// The output of a worker, which is passed on line by line.
#[derive(Debug)]
pub(super) struct Pipe {
    from: File,
    is_stderr: bool,
    lines: Lines,
}

impl Pipe {
    fn new(from: OwnedFd, is_stderr: bool) -> io::Result<Self> {
        set_nonblocking(from.as_fd())?;
        Ok(Self { from: from.into(), is_stderr, lines: Lines::default() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    /// Passes on what has come, each line with `prefix` before it; false at the end.
    pub(super) fn pass_on(&mut self, prefix: &str) -> bool {
        let mut bytes = [0; 16 << 10];
        loop {
            match self.from.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => {
                    let lines = self.lines.add(&bytes[..read], prefix);
                    self.write(&lines);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let rest = self.lines.end(prefix);
        self.write(&rest);
        false
    }

    fn write(&self, out: &[u8]) {
        // If it is not read any more there is nothing to be done.
        let _ = match self.is_stderr {
            true => io::stderr().write_all(out),
            false => io::stdout().write_all(out).and_then(|()| io::stdout().flush()),
        };
    }
}

/// Makes lines of bytes that come in pieces.
#[derive(Debug, Default)]
struct Lines {
    /// The last one, as far as it has come.
    line: Vec<u8>,
}

/// A longer line is passed on in pieces.
const MOST_LINE: usize = 64 << 10;

impl Lines {
    /// The lines that `bytes` end, each with `prefix` before it.
    fn add(&mut self, bytes: &[u8], prefix: &str) -> Vec<u8> {
        self.line.extend_from_slice(bytes);
        let mut out = Vec::new();
        let mut rest = &self.line[..];
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(&rest[..=end]);
            rest = &rest[end + 1..];
        }
        self.line = rest.to_vec();
        if self.line.len() > MOST_LINE {
            out.extend(self.end(prefix));
        }
        out
    }

    /// What has no end yet, as a line.
    fn end(&mut self, prefix: &str) -> Vec<u8> {
        match std::mem::take(&mut self.line) {
            line if line.is_empty() => line,
            line => [prefix.as_bytes(), &line, b"\n"].concat(),
        }
    }
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let fd = fd.as_raw_fd();
    // SAFETY: fcntl with these commands takes and returns integers, and the descriptor is open.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    // SAFETY: as above.
    if flags < 0 || unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_whatever_pieces() {
        let text = b"first\n\nthird\nlast";
        for piece in 1..=text.len() {
            let mut lines = Lines::default();
            let pieces = text.chunks(piece).map(|piece| lines.add(piece, "[3] "));
            let mut out: Vec<u8> = pieces.collect::<Vec<_>>().concat();
            out.extend(lines.end("[3] "));
            assert_eq!(out, b"[3] first\n[3] \n[3] third\n[3] last\n", "in pieces of {piece}");
            assert_eq!(lines.end("[3] "), b"");
        }
    }

    /// It would take memory without end.
    #[test]
    fn a_long_line_is_passed_on_in_pieces_each_with_its_prefix() {
        let mut lines = Lines::default();
        let long = vec![b'a'; MOST_LINE];
        assert_eq!(lines.add(&long, "[0] "), b"");
        let piece = [&b"[0] "[..], &long, b"aa\n"].concat();
        assert_eq!(lines.add(b"aa", "[0] "), piece);
        assert_eq!(lines.add(b"b\n", "[0] "), b"[0] b\n");
    }
}
