//! Settings that cannot work are refused before anything runs.

use prunner::{Error, Labeled, Runner};
use prunner_tests::program::program_with_end;

prunner_tests::watched!();

#[derive(Labeled)]
struct Nothing;

/// The error of a run with that many workers, of which no hook may run.
fn refusal(workers: usize) -> Error {
    let untouched = program_with_end(
        |_| unreachable!("begin ran"),
        |_: &Nothing, _| unreachable!("a task ran"),
        |_| unreachable!("end ran"),
    );
    Runner::new(untouched).workers(workers).start().expect_err("that many workers cannot be")
}

#[test]
fn zero_workers_are_refused() {
    let error = refusal(0);
    assert!(error.is_config() && error.report().is_none());
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("at least 1 worker, not 0"), "{error}");
}

#[test]
fn too_many_workers_are_refused() {
    for workers in [65_537, usize::MAX] {
        let error = refusal(workers);
        assert!(error.is_config() && error.report().is_none());
        let text = format!("{workers} workers are too many: at most 65536");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn the_error_is_an_ordinary_one() {
    let boxed: Box<dyn std::error::Error + Send + Sync> = refusal(0).into();
    assert_eq!(boxed.to_string(), format!("{boxed:?}"));
    assert!(boxed.source().is_none());
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

#[test]
fn there_is_one_worker_for_each_cpu_unless_it_is_set() -> Result<(), Error> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let nothing = program_with_end(|_| Ok(()), |_: &Nothing, _| Ok(()), |_| Ok(()));
    assert_eq!(Runner::new(nothing).start()?.workers(), cpus);
    Ok(())
}
