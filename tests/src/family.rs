//! The worker processes of a program that a test started: found in /proc, signalled, counted.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
    time::{Duration, Instant},
};

/// Lets the program lead a session of its own, to which all its descendants belong.
pub fn lead_a_session(command: &mut Command) -> &mut Command {
    // SAFETY: setsid(2) may be called between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::setsid() {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        })
    }
}

/// A child of a program that this test started. The number of a process may become another's when it
/// has ended; this stays what it is.
#[derive(Debug)]
pub struct Worker {
    pid: u32,
    handle: OwnedFd,
}

/// What a worker was seen doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It has a single thread: its runner has not come yet.
    Starting,
    /// It computes.
    Running,
    /// It waits: for a lease, for a lock, for the answer to a commit.
    Waiting,
}

/// What /proc/PID/stat tells.
struct Stat {
    state: char,
    parent: u32,
    session: u32,
    threads: u32,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may contain anything, parentheses included.
        let mut words = text.rsplit_once(')')?.1.split_whitespace();
        let state = words.next()?.chars().next()?;
        let mut numbers = words.map(|word| word.parse::<i64>().ok());
        let mut number = |at: usize| numbers.nth(at).flatten().map(|it| it as u32);
        Some(Self { state, parent: number(0)?, session: number(1)?, threads: number(13)? })
    }

    /// Whether it has ended and only its exit code is left.
    fn is_over(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

impl Worker {
    /// The children of a process that are alive.
    pub fn all_of(parent: u32) -> Vec<Self> {
        let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
        let children =
            threads.flatten().filter_map(|it| fs::read_to_string(it.path().join("children")).ok());
        let pids: Vec<u32> = children
            .flat_map(|it| it.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
            .collect();
        pids.into_iter().filter_map(|pid| Self::open(pid, |it| it.parent == parent)).collect()
    }

    /// The process of that number, if it belongs to the session and is alive.
    pub fn member(pid: u32, session: u32) -> Option<Self> {
        Self::open(pid, |it| it.session == session)
    }

    /// The process behind a number, if it is the right one and alive.
    fn open(pid: u32, is_right: impl Fn(&Stat) -> bool) -> Option<Self> {
        // SAFETY: pidfd_open(2) takes two integers.
        let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let handle = i32::try_from(handle).ok().filter(|handle| *handle >= 0)?;
        // SAFETY: the kernel has just opened it for us.
        let handle = unsafe { OwnedFd::from_raw_fd(handle) };
        let stat = Stat::of(pid)?;
        (is_right(&stat) && !stat.is_over()).then_some(Self { pid, handle })
    }

    /// What it is doing; `None` if it has ended.
    pub fn doing(&self) -> Option<Doing> {
        let stat = Stat::of(self.pid).filter(|stat| !stat.is_over())?;
        Some(match stat {
            Stat { threads: 1, .. } => Doing::Starting,
            Stat { state: 'R', .. } => Doing::Running,
            _ => Doing::Waiting,
        })
    }

    /// Waits until it has ended, for this long at most.
    fn wait(&self, limit: Duration) {
        let (fd, events) = (self.handle.as_raw_fd(), libc::POLLIN);
        let mut end = libc::pollfd { fd, events, revents: 0 };
        let millis = i32::try_from(limit.as_millis() + 1).unwrap_or(i32::MAX);
        // SAFETY: it is one, and it lives.
        unsafe { libc::poll(&raw mut end, 1, millis) };
    }

    /// Sends it a signal; false if it has ended.
    pub fn signal(&self, signal: libc::c_int) -> bool {
        let null = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open, and without a siginfo the kernel makes one.
        let sent = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.handle.as_raw_fd(), signal, null, 0)
        };
        sent == 0
    }
}

/// The processes of a session that are alive.
pub fn members(session: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| Stat::of(pid).is_some_and(|stat| stat.session == session && !stat.is_over()))
        .collect()
}

/// Sends a signal to each process of a session.
pub fn signal_all(session: u32, signal: libc::c_int) {
    let alive = |&pid: &u32| Worker::open(pid, |it| it.session == session);
    members(session).iter().filter_map(alive).for_each(|member| _ = member.signal(signal));
}

/// Kills the processes of a session, also those that they start meanwhile.
pub fn kill_all(session: u32) {
    while !members(session).is_empty() {
        signal_all(session, libc::SIGKILL);
        std::thread::yield_now();
    }
}

/// Waits until no process of a session is left; returns how long that took.
///
/// # Panics
///
/// When some are left after `limit`; they are killed.
pub fn wait_until_gone(session: u32, limit: Duration) -> Duration {
    let start = Instant::now();
    loop {
        let left = members(session);
        let elapsed = start.elapsed();
        if left.is_empty() {
            return elapsed;
        }
        let alive = |&pid: &u32| Worker::open(pid, |it| it.session == session);
        if elapsed > limit {
            let seen = left.iter().map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")));
            let seen: Vec<_> = seen.flatten().collect();
            left.iter().filter_map(alive).for_each(|left| _ = left.signal(libc::SIGKILL));
            panic!("processes are left after {limit:?}: {seen:?}");
        }
        if let Some(one) = left.iter().find_map(alive) {
            one.wait(limit - elapsed);
        }
    }
}
