//! A machine that gives a run less than it wants: it goes on with what there is, and says so.

use std::process::Command;

use prunner_tests::{
    limits::with_large_stacks,
    process::{Ended, Process},
};

prunner_tests::watched!();

/// Runs with 10 workers where only so many threads beside the caller's can be started.
fn ended(short: &str, threads: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_few_threads"));
    Process::start(with_large_stacks(&mut command).args([short, threads])).end()
}

#[track_caller]
fn assert_goes_on_with(workers: usize, ended: &Ended) {
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let last = format!("{workers} of 10 workers: 499500\n");
    assert!(ended.output.ends_with(&last), "{ended:?}");
    let warnings: Vec<&str> = ended.output.lines().filter(|it| it.starts_with("WARN: ")).collect();
    assert_eq!(warnings.len(), 1, "one warning is enough: {ended:?}");
    assert!(warnings[0].starts_with("WARN: cannot start a thread for worker "), "{ended:?}");
    let fewer = format!("; going on with {workers} of 10 workers");
    assert!(warnings[0].ends_with(&fewer), "{ended:?}");
}

/// They are also still woken: the program ends with questions that only they can answer.
#[test]
fn a_run_goes_on_with_fewer_workers() {
    for threads in [1, 3, 8] {
        assert_goes_on_with(threads + 1, &ended("memory", &threads.to_string()));
    }
}

#[test]
fn a_run_goes_on_with_the_calling_thread_alone() {
    assert_goes_on_with(1, &ended("memory", "0"));
    assert_goes_on_with(1, &ended("processes", "0"));
}

#[test]
fn a_run_needs_no_files() {
    let ended = ended("files", "9");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.output.ends_with("10 of 10 workers: 499500\n"), "{ended:?}");
    assert!(!ended.output.contains("WARN"), "{ended:?}");
}

/// Listening takes a thread of its own.
#[test]
fn a_run_that_cannot_listen_for_ctrlc_is_refused() {
    let ended = ended("ctrlc", "0");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.errors.starts_with("Error: cannot listen for Ctrl-C: "), "{ended:?}");
}
