//! Ctrl-C: the first drains the run, the second ends the program; workers never see it.

use std::{process::Command, time::Duration};

use prunner_tests::{meeting::Meeting, process::Ended};

use super::{Family, SCENES, alone, assert_none_left};

/// What the engine says when it has noticed Ctrl-C.
const NOTICED: &str = "WARN: interrupted";

/// Two handlers run and eight tasks wait when the signal comes.
fn interrupt(mut family: Family, meeting: &Meeting) -> Ended {
    let guests = [meeting.next(), meeting.next()];
    family.process.interrupt();
    family.process.wait_for_line(NOTICED);
    guests.into_iter().for_each(|guest| guest.let_go());
    family.end()
}

#[track_caller]
fn assert_drained(ended: &Ended) {
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    let last = "error: interrupted: 8 of 10 tasks were left\n";
    assert!(ended.output.ends_with(last), "{ended:?}");
}

#[test]
fn the_first_drains_the_run() {
    let _alone = alone();
    let meeting = Meeting::new();
    let family = Family::start("meet", &[meeting.invitation().address(), "2", "10"]);
    assert_drained(&interrupt(family, &meeting));
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
    assert_none_left(&mark, Duration::from_secs(2));
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
    let family = Family::of(shell.args([meeting.invitation().address(), "2", "10"]));
    assert_drained(&interrupt(family, &meeting));
}
