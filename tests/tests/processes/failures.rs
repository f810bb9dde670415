//! Handlers that fail in worker processes: nothing of them is left, and everything is told.

use prunner::{Append, Error, Key, Labeled, Merge, Report, Runner, Sum};
use prunner_tests::{
    handler,
    scale::times,
    travelling::Travelling,
    tree::{self, Shape, Tree},
};
use serde::{Deserialize, Serialize};

use super::{Setting, run, start};

const COUNT: Key<u64> = Key::new("count");
const SUM: Key<Sum<u64>> = Key::new("sum");
const WRITERS: Key<Append<u64>> = Key::new("writers");

#[derive(Labeled, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    Number(u64),
    Late { text: String },
}

/// The line of the panic in the handler below.
const PANICS_IN: u32 = line!() + 8;

handler!(Fails: Step, |step, cx| {
    let Step::Number(n) = step else { return Ok(()) };
    cx.merge(SUM, Sum(*n));
    cx.post(Step::Late { text: format!("after {n}") });
    match n % 10 {
        3 => Err("three of ten".into()),
        7 => panic!("seven of {}", "ten"),
        _ => Ok(()),
    }
});

/// Neither the merges nor the posts of a handler that failed are there.
#[track_caller]
fn assert_only_the_others(report: &Report) {
    let ledger = report.ledger();
    assert_eq!((ledger.posted, ledger.finished, ledger.dead), (180, 160, 20), "{ledger}");
    let expected = (0..100).filter(|n| n % 10 != 3 && n % 10 != 7).sum();
    assert_eq!(report.dict().get(SUM), Some(Sum(expected)));
}

#[test]
fn errors_and_panics_leave_nothing_and_are_told() {
    for setting in Setting::all() {
        let program = Travelling::of(Fails, (0..100).map(Step::Number));
        let error = setting.start(program).expect_err("20 tasks die");
        assert!(error.is_dead() && error.exit_code() == 1);
        assert!(error.to_string().starts_with("20 of 180 tasks died\n"), "{error}");
        let report = error.report().expect("there was a run");
        assert_only_the_others(report);
        assert_eq!(report.failures().len(), 20);
        for failure in report.failures() {
            assert_eq!(failure.label(), "Number");
            assert!(failure.worker() < setting.workers * setting.threads, "{failure}");
            let data = failure.data().expect("it is Debug").to_string();
            match failure.is_panic() {
                false => {
                    assert_eq!((failure.message(), failure.place()), ("three of ten", None));
                    assert!(data.ends_with("3)"), "{data}");
                }
                true => {
                    assert_eq!(failure.message(), "seven of ten");
                    assert!(data.ends_with("7)"), "{data}");
                    let place = failure.place().expect("the hook noted it");
                    assert!(place.starts_with(&format!("{}:{PANICS_IN}:", file!())), "{place}");
                }
            }
        }
    }
}

#[test]
fn the_dead_may_be_tolerated() -> Result<(), Error> {
    let program = Travelling::of(Fails, (0..100).map(Step::Number));
    let report = start(Runner::new(program).workers(2).processes().tolerate_dead(true))?;
    assert_only_the_others(&report);
    Ok(())
}

#[derive(Labeled, Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Number(u64);

handler!(FailsUnderTheLock: Number, |&Number(n), cx| {
    cx.merge(SUM, Sum(1));
    let mut lock = cx.lock();
    *lock.entry(COUNT).or_default() += 1;
    lock.entry(WRITERS).or_default().0.push(n);
    match n % 8 {
        0 => panic!("under the lock"),
        4 => {
            drop(lock);
            Err("after the lock".into())
        }
        _ => Ok(()),
    }
});

/// On processes what a failing attempt wrote under the lock is undone, and the others' writes are not.
#[test]
fn what_was_written_under_the_lock_dies_with_its_task() -> Result<(), Error> {
    for setting in Setting::all() {
        let program = Travelling::of(FailsUnderTheLock, (0..400).map(Number));
        let Setting { workers, threads, order } = setting;
        let runner = Runner::new(program).workers(workers).processes().threads(threads);
        let report = start(runner.order(order).tolerate_dead(true))?;
        let ledger = report.ledger();
        assert_eq!((ledger.finished, ledger.dead), (300, 100), "{setting:?}");
        let mut writers = report.dict().get(WRITERS).unwrap_or_default().0;
        writers.sort_unstable();
        let expected: Vec<u64> = (0..400).filter(|n| n % 4 != 0).collect();
        assert_eq!(writers, expected, "{setting:?}");
        assert_eq!(report.dict().get(COUNT), Some(300), "{setting:?}");
        assert_eq!(report.dict().get(SUM), Some(Sum(300)), "{setting:?}");
        assert_eq!(report.failures().len(), 100);
    }
    Ok(())
}

#[test]
fn a_single_task_that_fails_under_the_lock_leaves_nothing() {
    let program = Travelling::new(FailsUnderTheLock, |cx| {
        cx.lock().insert(COUNT, 7);
        cx.post(Number(0));
        Ok(())
    });
    let report = run(1, program).expect_err("it dies").into_report().expect("there was a run");
    assert_eq!(report.dict().get(COUNT), Some(7));
    assert_eq!(report.dict().names().collect::<Vec<_>>(), ["count"]);
}

handler!(Flushes: Number, |&Number(n), cx| {
    if n > 0 {
        cx.merge(SUM, Sum(100));
        return Ok(());
    }
    cx.merge(SUM, Sum(1));
    cx.post(Number(1));
    cx.flush();
    cx.merge(SUM, Sum(10));
    cx.post(Number(2));
    Err("after the flush".into())
});

#[test]
fn what_was_flushed_stays_when_its_handler_fails() {
    for workers in [1, 2] {
        let error = run(workers, Travelling::of(Flushes, [Number(0)])).expect_err("it dies");
        let report = error.into_report().expect("there was a run");
        let ledger = report.ledger();
        assert_eq!((ledger.posted, ledger.finished, ledger.dead), (2, 1, 1), "{ledger}");
        assert_eq!(report.dict().get(SUM), Some(Sum(101)));
    }
}

/// A merge that panics on what finished tasks have merged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Explosive(u64);

impl Merge for Explosive {
    fn merge(&mut self, other: Self) {
        assert!(other.0 != 13 && self.0 != 13, "thirteen");
        self.0 += other.0;
    }
}

const EXPLOSIVE: Key<Explosive> = Key::new("explosive");

handler!(Spoils: Number, |&Number(n), cx| {
    cx.merge(EXPLOSIVE, Explosive(n));
    Ok(())
});

#[test]
fn a_merge_that_panics_fails_the_run() {
    for workers in [1, 2] {
        let program = Travelling::of(Spoils, [2, 13, 30, 40].map(Number));
        let program = program.with_end(|_| panic!("end was run"));
        let error = run(workers, program).expect_err("the dict is not whole");
        assert!(error.is_dict(), "{error}");
        assert!(error.to_string().contains("not complete: explosive"), "{error}");
    }
}

/// Whatever falls on whichever worker, with failures in between: what one thread computes beforehand.
#[test]
fn random_trees_come_to_what_was_computed_beforehand() -> Result<(), Error> {
    let trees = times("PRUNNER_PROCESS_TREES", 24);
    let settings: Vec<Setting> = Setting::all().collect();
    for seed in 0..trees {
        let Setting { workers, threads, order } = settings[seed as usize % settings.len()];
        let shape = Shape { height: 5, children: 6, fails: 20 * (seed % 2) };
        let tree = Tree::new(seed, shape);
        let truth = tree.truth();
        let runner = Runner::new(tree).workers(workers).processes();
        let report = start(runner.threads(threads).order(order).tolerate_dead(true))?;
        let ledger = report.ledger();
        assert_eq!((ledger.finished, ledger.dead), (truth.finished, truth.dead), "seed {seed}");
        assert_eq!(ledger.posted, truth.finished + truth.dead, "seed {seed}");
        let sum = |key: Key<Sum<u64>>| report.dict().get(key).unwrap_or_default().0;
        assert_eq!((sum(tree::NODES), sum(tree::SUM)), (truth.finished, truth.sum), "seed {seed}");
    }
    Ok(())
}
