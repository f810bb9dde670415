//! Programs that a test starts, talks to and waits for.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Instant,
};

use crate::gate::PATIENCE;

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Its output so far, as far as it was read.
    output: String,
    lines: Receiver<String>,
    errors: Option<thread::JoinHandle<String>>,
}

/// What a program that has ended leaves.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote to its standard output.
    pub output: String,
    /// All that it wrote to its standard error.
    pub errors: String,
}

impl Process {
    /// Starts a program on which SIGINT and SIGQUIT work, even if they were ignored here: a job that a
    /// script starts in the background inherits that.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: signal(2) may be called between fork and exec.
        let command = unsafe { command.pre_exec(allow_signals) };
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        let mut stderr = child.stderr.take().expect("it is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.for_each(|line| _ = sender.send(line));
        });
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, output: String::new(), lines, errors: Some(errors) }
    }

    /// Waits for a line of its output that begins with `start`.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn wait_for_line(&mut self, start: &str) -> String {
        loop {
            match self.next_line() {
                Some(line) if line.starts_with(start) => return line,
                Some(_) => {}
                None => panic!("it ended without a line {start:?}: {}", self.output),
            }
        }
    }

    /// Sends it SIGINT, as Ctrl-C does.
    ///
    /// # Panics
    ///
    /// When it is no longer there.
    pub fn interrupt(&self) {
        self.signal(libc::SIGINT);
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it is no longer there.
    pub fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a pid is a pid_t");
        // SAFETY: the process is our child and was not waited for, so the pid is still its own.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0, "signal {signal} was not sent");
    }

    /// Its number, which is its own until it was waited for.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn end(mut self) -> Ended {
        while self.next_line().is_some() {}
        let status = self.child.wait().expect("it is our child");
        let errors = self.errors.take().and_then(|errors| errors.join().ok());
        let output = std::mem::take(&mut self.output);
        Ended { status, output, errors: errors.unwrap_or_default() }
    }

    /// The next line of its output; `None` when it has ended.
    fn next_line(&mut self) -> Option<String> {
        let start = Instant::now();
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.output += &line;
                self.output.push('\n');
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                let errors = self.errors.take().and_then(|errors| errors.join().ok());
                let (output, silent) = (&self.output, start.elapsed());
                panic!("silent for {silent:?} after {output:?}, {errors:?}")
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both do nothing when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn allow_signals() -> std::io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: signal(2) takes two integers.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}
