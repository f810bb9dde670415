//! Runs inside handlers of worker processes.

use prunner::{Error, Key, Labeled, Report, Runner, Sum};
use prunner_tests::{handler, program::program, travelling::Travelling};
use serde::{Deserialize, Serialize};

use super::{
    hooks::{self, Adds},
    run,
};

const SUM: Key<Sum<u64>> = Key::new("sum");

#[derive(Labeled, Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Number(pub(crate) u64);

/// The numbers below `n`, added up on threads.
fn on_threads(n: u64) -> Result<Report, Error> {
    let numbers = program(
        |cx| {
            cx.post_all((0..n).map(Number));
            Ok(())
        },
        |&Number(n), cx| {
            cx.merge(SUM, Sum(n));
            Ok(())
        },
    );
    Runner::new(numbers).workers(2).start()
}

handler!(Threads: Number, |&Number(n), cx| {
    let report = on_threads(n)?;
    assert_eq!(report.ledger().finished, n);
    cx.merge(SUM, report.dict().get(SUM).unwrap_or_default());
    Ok(())
});

handler!(Processes: Number, |&Number(n), cx| {
    let inner = Travelling::of(Adds, (0..n).map(hooks::number));
    let report = Runner::new(inner).workers(2).processes().start()?;
    assert_eq!(report.ledger().finished, n);
    cx.merge(SUM, report.dict().get(SUM).unwrap_or_default());
    Ok(())
});

#[test]
fn a_handler_can_start_a_run_on_threads() -> Result<(), Error> {
    for workers in [1, 2] {
        let report = run(workers, Travelling::of(Threads, (0..20).map(Number)))?;
        let expected = (0..20_u64).map(|n| n * n.saturating_sub(1) / 2).sum();
        assert_eq!(report.dict().get(SUM), Some(Sum(expected)));
        assert_eq!(report.ledger().posted, 20);
    }
    Ok(())
}

/// A worker is a parent like any other.
#[test]
fn a_handler_can_start_a_run_on_processes() -> Result<(), Error> {
    let report = run(2, Travelling::of(Processes, [Number(10), Number(100)]))?;
    assert_eq!(report.dict().get(SUM), Some(Sum(45 + 4950)));
    assert_eq!(report.ledger().posted, 2);
    Ok(())
}
