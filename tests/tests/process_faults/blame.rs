//! Who is blamed when workers die: the task that they die of, and no other.

use std::time::Duration;

use prunner::{Labeled, Runner};
use prunner_tests::{
    deeds::Deed,
    gate::PATIENCE,
    handler,
    meeting::{Guest, Meeting},
    travelling::Travelling,
    watchdog::Watchdog,
};
use serde::{Deserialize, Serialize};

use super::{Host, alone, going, signal};

#[derive(Labeled, Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Part {
    Sound,
    Deadly(u64),
}

handler!(Aborts: Part, |part, _| {
    match part {
        Part::Sound => Ok(()),
        Part::Deadly(_) => std::process::abort(),
    }
});

/// More than the fuse bears: each death is progress, because it brings one of them closer to its end.
#[test]
fn many_deadly_tasks_die_alone_and_each_is_named() {
    const DEADLY: u64 = 40;
    for (workers, threads) in [(2, 1), (8, 1), (1, 4)] {
        let _alone = alone();
        let watchdog = Watchdog::after(PATIENCE, "a run with many deadly tasks");
        let deadly = (0..DEADLY).map(Part::Deadly);
        let program = Travelling::of(Aborts, deadly.chain([Part::Sound; 400]));
        let run = Runner::new(program).workers(workers).processes().threads(threads);
        let report = run.tolerate_dead(true).start().unwrap_or_else(|error| panic!("{error}"));
        drop(watchdog);
        let ledger = report.ledger();
        assert_eq!((ledger.finished, ledger.dead, ledger.left), (400, DEADLY, 0), "{ledger}");
        let mut data: Vec<_> = report.failures().iter().filter_map(|it| it.data()).collect();
        data.sort_unstable();
        data.dedup();
        assert_eq!(data.len() as u64, DEADLY, "{data:?}");
        for failure in report.failures() {
            assert_eq!(failure.label(), "Deadly");
            assert!(
                failure.message().starts_with("killed its worker 3 times: SIGABRT"),
                "{failure}"
            );
        }
        let label = report.label("Deadly").expect("it is counted under its label");
        assert_eq!((label.finished(), label.dead()), (0, DEADLY));
    }
}

/// Each time it is stopped for longer than its lease, and continued when another has taken over: nothing of
/// that is the fault of the task.
#[test]
fn a_task_whose_workers_lose_their_leases_is_not_blamed() {
    const PAUSES: usize = 6;
    let meeting = Meeting::new();
    let lease = Duration::from_millis(300);
    let deeds = [Deed::Meet(1)];
    let run = going(&meeting.invitation(), deeds, |it| it.workers(2).lease(lease));
    let mut stopped: Option<Guest> = None;
    for _ in 0..PAUSES {
        let guest = meeting.next();
        signal(guest.pid, libc::SIGSTOP);
        if let Some(before) = stopped.replace(guest) {
            signal_if_there(before.pid, libc::SIGCONT);
            before.let_go();
        }
    }
    let last = meeting.next();
    if let Some(before) = stopped {
        signal_if_there(before.pid, libc::SIGCONT);
        before.let_go();
    }
    last.let_go();
    let report = run.well();
    assert_eq!((report.ledger().finished, report.ledger().dead), (1, 0), "{report}");
}

/// It may have been killed because it was silent for too long.
fn signal_if_there(pid: u32, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(pid).expect("a pid is a pid_t");
    // SAFETY: kill takes two integers. The process is a worker, or has been one a moment ago.
    let _ = unsafe { libc::kill(pid, signal) };
}

/// It says so all the time: it is not silent.
#[test]
fn a_handler_may_take_much_longer_than_a_lease() {
    let meeting = Meeting::new();
    let lease = Duration::from_millis(100);
    let run = going(&meeting.invitation(), [Deed::Work(1500)], |it| {
        it.workers(1).lease(lease).max_interruptions(2)
    });
    assert_eq!(run.well().ledger().finished, 1);
}

/// Signals whoever comes, and lets nobody go: the signal may take a moment.
fn host(number: libc::c_int) -> Host {
    let mut guests = Vec::new();
    Host::of(Meeting::new(), move |guest| {
        signal(guest.pid, number);
        guests.push(guest);
    })
}

/// How often that may be can be set, and the failure says what the task died of.
#[test]
fn a_task_that_was_interrupted_too_often_says_so() {
    let host = host(libc::SIGTERM);
    let deeds = [Deed::Sleep(7)];
    let run = going(&host.invitation, deeds, |it| it.workers(1).max_interruptions(2));
    let report = run.dead();
    host.end();
    let failure = &report.failures()[0];
    assert_eq!((failure.label(), failure.data()), ("Sleep", Some("(7)")));
    let message = failure.message();
    let expected = "its workers were killed from outside or lost their lease 3 times: ";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("SIGTERM"), "{message}");
    let label = report.label("Sleep").expect("it is counted under its label");
    assert_eq!(label.dead(), 1);
}

#[test]
fn a_task_that_has_lost_its_leases_says_so() {
    let host = host(libc::SIGSTOP);
    let deeds = [Deed::Sleep(7)];
    let lease = Duration::from_millis(100);
    let run = going(&host.invitation, deeds, |it| it.workers(2).lease(lease).max_interruptions(3));
    let report = run.dead();
    host.end();
    let failure = &report.failures()[0];
    assert_eq!(failure.label(), "Sleep");
    let message = failure.message();
    assert!(message.contains("lost their lease 4 times: it said nothing for"), "{message}");
    assert!(message.contains("a longer Runner::lease helps"), "{message}");
}
