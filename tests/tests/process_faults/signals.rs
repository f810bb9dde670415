//! Ctrl-C: the first drains the run, the second ends the program; workers never see it.

use std::{process::Command, time::Duration};

use prunner_tests::{
    meeting::{Guest, Meeting},
    process::Ended,
};

use super::{Family, Host, SCENES, alone, assert_none_left};

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
