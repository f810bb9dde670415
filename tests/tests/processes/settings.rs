//! Settings that cannot work are refused before anything runs.

use std::time::Duration;

use prunner::{Error, Runner};
use prunner_tests::travelling::Travelling;

use super::hooks::{Adds, number};

type Set = fn(Runner<Travelling<Adds>>) -> Runner<Travelling<Adds>>;

/// The error of a run that is set up so, of which no hook may run.
fn refusal(set: Set) -> Error {
    let untouched = Travelling::new(Adds, |_| unreachable!("begin ran"));
    let untouched = untouched.with_end(|_| unreachable!("end ran"));
    set(Runner::new(untouched)).start().expect_err("that cannot be")
}

#[track_caller]
fn assert_refused(set: Set, text: &str) {
    let error = refusal(set);
    assert!(error.is_config() && error.report().is_none(), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn what_is_for_processes_is_refused_on_threads() {
    assert_refused(|it| it.threads(2), "threads is for worker processes");
    assert_refused(|it| it.max_memory(1 << 30), "max_memory is for worker processes");
    assert_refused(|it| it.max_cpu_time(Duration::from_secs(1)), "max_cpu_time is for worker");
    assert_refused(|it| it.max_task_time(Duration::from_secs(1)), "max_task_time is for worker");
    assert_refused(|it| it.prefix_output(true), "prefix_output is for worker processes");
    assert_refused(|it| it.lease(Duration::from_secs(1)), "lease is for worker processes");
}

#[test]
fn what_is_for_threads_is_refused_on_processes() {
    assert_refused(|it| it.processes().membarrier(false), "membarrier(false) is for threads");
    assert_refused(|it| it.membarrier(false).processes(), "membarrier(false) is for threads");
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    assert_refused(|it| it.processes().workers(0), "at least 1 worker, not 0");
    assert_refused(|it| it.processes().threads(0), "at least 1 thread, not 0");
    assert_refused(|it| it.processes().workers(300).threads(300), "at most 65536");
    assert_refused(|it| it.processes().threads(usize::MAX), "at most 65536");
    assert_refused(|it| it.processes().workers(65_537), "at most 65536");
    assert_refused(|it| it.processes().lease(Duration::from_millis(99)), "lease of 99ms");
    assert_refused(|it| it.processes().lease(Duration::ZERO), "is too short");
}

#[test]
fn there_is_one_worker_for_each_cpu_unless_it_is_set() -> Result<(), Error> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let program = Travelling::of(Adds, [number(1)]);
    let report = Runner::new(program).processes().start()?;
    assert_eq!((report.workers(), report.workers_started()), (cpus, 1));
    Ok(())
}

/// The shortest lease that is allowed lets healthy workers do their work.
#[test]
fn a_short_lease_is_renewed() -> Result<(), Error> {
    let lease = Duration::from_millis(100);
    let program = Travelling::of(Adds, (0..1000).map(number));
    let report = Runner::new(program).workers(2).processes().lease(lease).start()?;
    assert_eq!(report.ledger().finished, 1000);
    Ok(())
}
