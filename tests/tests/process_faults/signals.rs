//! Ctrl-C: the first drains the run, the second ends the program; workers never see it.

use std::{os::unix::process::ExitStatusExt, process::Command, time::Duration};

use prunner_tests::{
    meeting::{Guest, Meeting},
    process::Ended,
};

use super::{Family, Host, SCENES, alone, assert_none_left, signal};

/// What the engine says when it has noticed Ctrl-C.
const NOTICED: &str = "WARN: interrupted";

const TASKS: u64 = 20_000;

/// Two handlers run and the other tasks wait when the signal comes. From then on whoever still comes is
/// let go at once.
fn interrupt(command: &mut Command, meeting: Meeting) -> Ended {
    let invitation = meeting.invitation();
    let mut family = Family::of(command.args([invitation.address(), "2", &TASKS.to_string()]));
    let guests = [meeting.next(), meeting.next()];
    family.process.interrupt();
    family.process.wait_for_line(NOTICED);
    guests.into_iter().for_each(|guest| guest.let_go());
    let host = Host::of(meeting, Guest::let_go);
    let ended = family.end();
    host.end();
    ended
}

/// Not all tasks have finished, and it says how many have not.
#[track_caller]
fn assert_drained(ended: &Ended) {
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    let last = ended.output.lines().last().unwrap_or_default();
    let left = last.strip_prefix("error: interrupted: ");
    let left = left.and_then(|it| it.strip_suffix(&format!(" of {TASKS} tasks were left")));
    let left: u64 = left.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("{ended:?}"));
    assert!((1..=TASKS - 2).contains(&left), "{ended:?}");
}

#[test]
fn the_first_drains_the_run() {
    let _alone = alone();
    let meeting = Meeting::new();
    assert_drained(&interrupt(Command::new(SCENES).arg("meet"), meeting));
}

#[test]
fn the_second_ends_the_program_and_its_workers() {
    let _alone = alone();
    let meeting = Meeting::new();
    let Family { mut process, mark } =
        Family::start("meet", &[meeting.invitation().address(), "2", "10"]);
    let guests = [meeting.next(), meeting.next()];
    process.interrupt();
    process.wait_for_line(NOTICED);
    process.interrupt();
    assert_eq!(process.end().status.code(), Some(130));
    assert_none_left(&mark, Duration::from_secs(20));
    drop(guests);
}

/// Only if it was asked for: a library does not take a signal uninvited.
#[test]
fn a_run_tells_what_it_is_doing() {
    let _alone = alone();
    let meeting = Meeting::new();
    let invitation = meeting.invitation();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&1", SCENES, "meet", invitation.address(), "2", "2"]);
    let mut family = Family::of(shell.env("PRUNNER_DUMP", "0"));
    let guests = [meeting.next(), meeting.next()];
    signal(family.process.pid(), libc::SIGQUIT);
    family.process.wait_for_line("prunner: the state of the run");
    for part in ["begin {", "Dispatcher {", "Status {", "leases: {", "worker process 0: pid "] {
        family.process.wait_for_line(part);
    }
    guests.into_iter().for_each(Guest::let_go);
    assert_eq!(family.end().status.code(), Some(0));
}

#[test]
fn a_run_that_was_not_asked_to_leaves_the_signal_alone() {
    let _alone = alone();
    let meeting = Meeting::new();
    let Family { process, mark } =
        Family::start("meet", &[meeting.invitation().address(), "1", "1"]);
    let guest = meeting.next();
    signal(process.pid(), libc::SIGQUIT);
    assert_eq!(process.end().status.signal(), Some(libc::SIGQUIT));
    assert_none_left(&mark, Duration::from_secs(2));
    drop(guest);
}

/// A job that a script starts in the background inherits that SIGINT is ignored. Who asks for Ctrl-C
/// gets it all the same.
#[test]
fn a_job_that_ignores_it_can_be_drained() {
    let _alone = alone();
    let meeting = Meeting::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' INT; exec \"$0\" \"$@\"", SCENES, "meet"]);
    assert_drained(&interrupt(&mut shell, meeting));
}
