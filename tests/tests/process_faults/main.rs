//! Worker processes that die, stall, loop or cannot be had: nothing is lost, nothing is doubled, nobody
//! is left.

mod blame;
mod broken;
mod builds;
mod children;
mod kills;
mod limits;
mod orphans;
mod output;
mod shortage;
mod signals;
mod starts;

use std::{
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use prunner::{Error, Report, Runner};
use prunner_tests::{
    deeds::{Deed, Deeds, Program},
    gate::PATIENCE,
    meeting::{Guest, Invitation, Meeting},
    offspring,
    process::{Ended, Process},
    travelling::Travelling,
    watchdog::Watchdog,
};

prunner_tests::watched!();

prunner::worker_test!(
    Program,
    Travelling<broken::Spoils>,
    Travelling<broken::Leaks>,
    Travelling<broken::Holds>,
    Travelling<blame::Aborts>,
);

/// While this lives, all children of this process are those of one test.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run that goes on while the test does something to it.
struct Going {
    run: JoinHandle<Result<Report, Error>>,
    /// Children of tests that have failed.
    strangers: Vec<u32>,
    _watchdog: Watchdog,
    _alone: MutexGuard<'static, ()>,
}

/// Starts a run of these deeds.
fn going(
    invitation: &Invitation,
    deeds: impl IntoIterator<Item = Deed>,
    set: impl FnOnce(Runner<Program>) -> Runner<Program>,
) -> Going {
    let deeds: Vec<Deed> = deeds.into_iter().collect();
    start(set(Runner::new(Program::of(Deeds::at(invitation), deeds)).processes()))
}

fn start(runner: Runner<Program>) -> Going {
    let alone = alone();
    let watchdog = Watchdog::after(PATIENCE, "a run on worker processes");
    let strangers = offspring::children();
    Going { run: thread::spawn(|| runner.start()), strangers, _watchdog: watchdog, _alone: alone }
}

impl Going {
    /// Waits for its end. No worker is left, not even a dead one that nobody has waited for.
    fn end(self) -> Result<Report, Error> {
        let result = self.run.join().expect("start does not panic");
        let mut left = offspring::children();
        left.retain(|pid| !self.strangers.contains(pid));
        assert!(left.is_empty(), "workers are left: {left:?}");
        result
    }

    /// The report of a run that must end well.
    #[track_caller]
    fn well(self) -> Report {
        self.end().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The report of a run in which tasks died.
    #[track_caller]
    fn dead(self) -> Report {
        let error = self.end().expect_err("tasks die");
        assert!(error.is_dead(), "{error}");
        error.into_report().expect("there was a run")
    }
}

/// Receives whoever comes to a meeting, however many.
struct Host {
    invitation: Invitation,
    thread: JoinHandle<()>,
}

/// What the test says when nobody else will come.
const OVER: &str = "over";

impl Host {
    fn of(meeting: Meeting, mut receive: impl FnMut(Guest) + Send + 'static) -> Self {
        let invitation = meeting.invitation();
        let thread = thread::spawn(move || {
            // Other tests may come first: this run begins when they are over.
            let guests = std::iter::repeat_with(|| meeting.next_however_late());
            guests.take_while(|guest| guest.text != OVER).for_each(&mut receive);
        });
        Self { invitation, thread }
    }

    fn end(self) {
        self.invitation.leave(OVER);
        self.thread.join().expect("guests are received");
    }
}

fn signal(pid: u32, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(pid).expect("a pid is a pid_t");
    // SAFETY: kill takes two integers. The process is a worker that waits for us.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signal {signal} was not sent");
}

/// What tells the processes of one program from all others.
const MARK: &str = "PRUNNER_TESTS_MARK";

/// A program with its workers.
struct Family {
    process: Process,
    mark: String,
}

impl Family {
    /// Starts the scene of `process_scenes` with these arguments.
    fn start(scene: &str, arguments: &[&str]) -> Self {
        Self::of(Command::new(SCENES).arg(scene).args(arguments))
    }

    fn of(command: &mut Command) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        let process = Process::start(command.env(MARK, &mark).env("RUST_BACKTRACE", "0"));
        Self { process, mark }
    }

    /// Waits for the end of the program; its workers must be gone by then.
    fn end(self) -> Ended {
        let ended = self.process.end();
        assert_none_left(&self.mark, Duration::ZERO);
        ended
    }
}

fn assert_none_left(mark: &str, limit: Duration) {
    offspring::assert_gone_within(limit, || offspring::marked(MARK, mark));
}

const SCENES: &str = env!("CARGO_BIN_EXE_process_scenes");
