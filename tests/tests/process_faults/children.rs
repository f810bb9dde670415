//! What handlers start ends with their worker, and does not keep a run from ending.

use prunner_tests::{
    deeds::{Deed, SUM, Then},
    meeting::{Guest, Meeting},
    offspring,
};

use super::{Family, going, signal};

/// The process that a deed has started, by what it says at the meeting.
fn started(guest: &Guest) -> u32 {
    guest.text.parse().expect("the number of a process")
}

#[track_caller]
fn assert_gone(pid: u32) {
    let left = || Some(pid).filter(|pid| offspring::runs(*pid)).into_iter().collect();
    offspring::assert_gone_within(prunner_tests::gate::PATIENCE, left);
}

#[test]
fn a_run_ends_although_a_fork_of_a_worker_has_its_socket() {
    for (workers, threads) in [(1, 1), (8, 1), (1, 4)] {
        for leaves in [false, true] {
            let meeting = Meeting::new();
            let run = going(&meeting.invitation(), [Deed::Fork(leaves)], |it| {
                it.workers(workers).threads(threads)
            });
            let guest = meeting.next();
            let child = started(&guest);
            guest.let_go();
            assert_eq!(run.well().dict().get(SUM).map(|sum| sum.0), Some(1));
            if leaves {
                assert!(offspring::runs(child), "it has left, and nobody has killed it");
                signal(child, libc::SIGKILL);
            }
            assert_gone(child);
        }
    }
}

/// Its worker is killed while a fork of it holds the socket: another takes its place.
#[test]
fn the_death_of_a_worker_is_seen_although_a_fork_has_its_socket() {
    let meeting = Meeting::new();
    let run = going(&meeting.invitation(), [Deed::Fork(true)], |it| it.workers(1));
    let first = meeting.next();
    signal(first.pid, libc::SIGKILL);
    let second = meeting.next();
    for guest in [&first, &second] {
        signal(started(guest), libc::SIGKILL);
    }
    second.let_go();
    assert_eq!(run.well().ledger().finished, 1);
}

#[test]
fn what_handlers_start_ends_with_their_workers() {
    for then in [Then::Finish, Then::Abort] {
        let meeting = Meeting::new();
        let deeds = [Deed::Run("sleep 1000".into(), then)];
        let run = going(&meeting.invitation(), deeds, |it| it.workers(1).tolerate_dead(true));
        let times = if matches!(then, Then::Abort) { 4 } else { 1 };
        let children: Vec<u32> = (0..times)
            .map(|_| {
                let guest = meeting.next();
                let child = started(&guest);
                guest.let_go();
                child
            })
            .collect();
        run.well();
        children.into_iter().for_each(assert_gone);
    }
}

#[test]
fn what_handlers_start_ends_with_a_worker_that_is_killed() {
    let meeting = Meeting::new();
    let deeds = [Deed::Run("sleep 1000".into(), Then::Wait)];
    let run = going(&meeting.invitation(), deeds, |it| it.workers(1));
    let first = meeting.next();
    signal(first.pid, libc::SIGKILL);
    let second = meeting.next();
    assert_gone(started(&first));
    signal(started(&second), libc::SIGTERM);
    second.let_go();
    run.well();
}

#[test]
fn a_worker_that_does_not_end_is_killed() {
    let meeting = Meeting::new();
    let run = going(&meeting.invitation(), [Deed::Linger], |it| it.workers(1));
    assert_eq!(run.well().dict().get(SUM).map(|sum| sum.0), Some(1));
}

#[test]
fn what_handlers_start_ends_with_a_parent_that_is_killed() {
    let _alone = super::alone();
    let meeting = Meeting::new();
    let family = Family::start("children", &[meeting.invitation().address(), "exec sleep 1000"]);
    for _ in 0..2 {
        meeting.next().let_go();
    }
    signal(family.process.pid(), libc::SIGKILL);
    super::assert_none_left(&family.mark, prunner_tests::gate::PATIENCE);
}

/// As on threads, where the terminal interrupts all that belongs to the program.
#[test]
fn the_first_interrupt_reaches_what_handlers_have_started_and_not_their_workers() {
    let _alone = super::alone();
    let meeting = Meeting::new();
    let family = Family::start("children", &[meeting.invitation().address(), "exec sleep 1000"]);
    for _ in 0..2 {
        meeting.next().let_go();
    }
    family.process.interrupt();
    let ended = family.end();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert!(ended.output.contains("error: interrupted: 0 of 2 tasks were left"), "{ended:?}");
    assert!(!ended.output.contains("has died"), "{ended:?}");
}

/// Also what does not care about the first.
#[test]
fn the_second_interrupt_ends_what_handlers_have_started() {
    let _alone = super::alone();
    let meeting = Meeting::new();
    let command = "trap '' INT; sleep 1000";
    let Family { mut process, mark } =
        Family::start("children", &[meeting.invitation().address(), command]);
    for _ in 0..2 {
        meeting.next().let_go();
    }
    process.interrupt();
    process.wait_for_line("WARN: interrupted");
    process.interrupt();
    assert_eq!(process.end().status.code(), Some(130));
    super::assert_none_left(&mark, prunner_tests::gate::PATIENCE);
}
