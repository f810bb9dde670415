//! Settings that cannot work are refused before anything runs.

use std::time::Duration;

use prunner::{Error, Runner};
use prunner_tests::travelling::Travelling;

use super::{
    hooks::{Adds, number},
    start,
};

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
    assert_refused(|it| it.lease(Duration::from_secs(9)), "lease is for worker processes");
    assert_refused(|it| it.max_payload(1 << 20), "max_payload is for worker processes");
    assert_refused(|it| it.max_interruptions(1), "max_interruptions is for worker processes");
    assert_refused(|it| it.max_deaths(1), "max_deaths is for worker processes");
    assert_refused(|it| it.start_timeout(Duration::from_secs(9)), "start_timeout is for worker");
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
    assert_refused(|it| it.processes().max_payload(1023), "at least 1024 and at most 201326592");
    assert_refused(
        |it| it.processes().max_payload(u64::MAX),
        "a max_payload of 18446744073709551615",
    );
    assert_refused(|it| it.processes().start_timeout(Duration::ZERO), "start_timeout of 0 s");
    assert_refused(|it| it.processes().max_task_time(Duration::ZERO), "max_task_time of 0 s");
    assert_refused(|it| it.processes().max_cpu_time(Duration::ZERO), "max_cpu_time of 0 s");
    assert_refused(|it| it.processes().membarrier(false), "membarrier(false) is for threads");
}

#[test]
fn there_is_one_worker_for_each_cpu_unless_it_is_set() -> Result<(), Error> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let program = Travelling::of(Adds, [number(1)]);
    let report = Runner::new(program).processes().start()?;
    assert_eq!((report.workers(), report.workers_started()), (cpus, 1));
    Ok(())
}

/// The longest time is as good as none, and so is the largest number.
#[test]
fn there_may_be_no_limits() -> Result<(), Error> {
    let sets: [Set; 5] = [
        |it| it.lease(Duration::MAX),
        |it| it.max_cpu_time(Duration::MAX),
        |it| it.max_task_time(Duration::MAX),
        |it| it.start_timeout(Duration::MAX),
        |it| it.max_interruptions(u32::MAX).max_deaths(u32::MAX).max_memory(u64::MAX),
    ];
    for set in sets {
        let program = Travelling::of(Adds, (0..100).map(number));
        let report = start(set(Runner::new(program).workers(2).processes()))?;
        assert_eq!(report.ledger().finished, 100);
    }
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
