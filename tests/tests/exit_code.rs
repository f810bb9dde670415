//! `fn main() -> Result<(), prunner::Error>`: a program cannot end well with a wrong answer.

use std::process::Command;

use prunner_tests::process::{Ended, Process};

prunner_tests::watched!();

fn ended(way: &str) -> Ended {
    Process::start(Command::new(env!("CARGO_BIN_EXE_exit_code")).arg(way)).end()
}

/// A program that failed: exit code 1, and its error on the standard error.
#[track_caller]
fn assert_fails(way: &str, output: &str, error: &str) {
    let ended = ended(way);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(ended.output, output, "{ended:?}");
    assert!(ended.errors.contains(error), "{ended:?}");
}

#[test]
fn a_success_is_0() {
    let ended = ended("well");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(ended.output, "end\nposted 3 = finished 3 + dead 0\n");
    assert_eq!(ended.errors, "");
}

#[test]
fn a_task_that_fails_is_1() {
    assert_fails("run", "end\n", "Error: 1 of 3 tasks died\n  task(2): run fails\n");
}

#[test]
fn a_task_that_panics_is_1() {
    assert_fails(
        "panic",
        "end\n",
        "Error: 1 of 3 tasks died\n  task(2): panicked at tests/src/bin",
    );
}

#[test]
fn a_begin_that_fails_is_1() {
    assert_fails("begin", "", "Error: begin failed, so end was not run: begin fails\n");
}

#[test]
fn an_end_that_fails_is_1() {
    assert_fails("end", "end\n", "Error: end failed: end fails\n");
}

#[test]
fn a_setting_that_cannot_work_is_1() {
    assert_fails("config", "", "Error: a run needs at least 1 worker, not 0");
}
