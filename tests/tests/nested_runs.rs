//! Runs inside runs and runs beside runs: each has its own tasks, dict and end.

use std::{
    panic::catch_unwind,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use prunner::{
    Error, Key, Labeled, MessageLoop, Report, Runner, Sum, TaskResult, dict, global_lock, merge,
    post_task,
};
use prunner_tests::{
    gate::PATIENCE,
    program::{program, program_with_end},
    setting::Setting,
    watchdog::Watchdog,
};

prunner_tests::watched!();

const SUM: Key<Sum<u64>> = Key::new("sum");

#[derive(Labeled)]
struct Number(u64);

/// Adds up the numbers below `n` in a run of its own.
fn sum_below(n: u64, setting: Setting) -> Result<u64, Error> {
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
    let report = setting.runner(numbers).start()?;
    assert_eq!(report.ledger().finished, n);
    Ok(report.dict().get(SUM).unwrap_or_default().0)
}

#[test]
fn a_handler_can_start_a_run() -> Result<(), Error> {
    for setting in Setting::all(&[1, 3]) {
        let outer = program(
            |cx| {
                cx.post_all((0..20).map(Number));
                Ok(())
            },
            |&Number(n), cx| {
                cx.merge(SUM, Sum(sum_below(n, setting)?));
                Ok(())
            },
        );
        let report = setting.runner(outer).start()?;
        let expected: u64 = (0..20_u64).map(|n| n * n.saturating_sub(1) / 2).sum();
        assert_eq!(report.dict().get(SUM), Some(Sum(expected)), "{setting:?}");
        assert_eq!(report.ledger().posted, 20);
    }
    Ok(())
}

#[test]
fn begin_and_end_can_start_a_run() -> Result<(), Error> {
    for setting in Setting::all(&[1, 2]) {
        let ended_with = AtomicU64::new(0);
        let outer = program_with_end(
            |cx| {
                cx.post(Number(sum_below(5, setting)?));
                Ok(())
            },
            |&Number(n), cx| {
                cx.merge(SUM, Sum(n));
                Ok(())
            },
            |dict| {
                let before = dict.get(SUM).unwrap_or_default().0;
                ended_with.store(before + sum_below(100, setting)?, Ordering::SeqCst);
                Ok(())
            },
        );
        setting.runner(outer).start()?;
        assert_eq!(ended_with.into_inner(), 10 + 4950);
    }
    Ok(())
}

/// `depth` runs inside each other, each of which adds 1.
fn nest(depth: u64, setting: Setting) -> Result<u64, Error> {
    let level = program(
        |cx| {
            cx.post(Number(depth));
            Ok(())
        },
        |&Number(depth), cx| {
            let below = if depth == 0 { 0 } else { nest(depth - 1, setting)? };
            cx.merge(SUM, Sum(below + 1));
            Ok(())
        },
    );
    let report = setting.runner(level).start()?;
    Ok(report.dict().get(SUM).unwrap_or_default().0)
}

#[test]
fn runs_nest_deeply() -> Result<(), Error> {
    for setting in Setting::all(&[1, 2]) {
        assert_eq!(nest(20, setting)?, 21);
    }
    Ok(())
}

/// A message loop whose functions reach the innermost loop on their thread, and the outer one again
/// when that is over.
#[test]
fn message_loops_nest_on_one_thread() -> Result<(), Error> {
    fn inner_begin() {
        (1..=10).for_each(|n| post_task(add, n));
    }
    fn add(n: u64) {
        merge(SUM, Sum(n));
    }
    fn outer() -> Result<(), Error> {
        add(1000);
        let inner = MessageLoop::new(inner_begin, || assert_eq!(dict().get(SUM), Some(Sum(55))));
        Runner::new(inner).workers(1).start()?;
        post_task(add, 2000);
        Ok(())
    }
    for setting in Setting::all(&[1, 2]) {
        let report = setting.runner(MessageLoop::new(|| post_task(outer, ()), || ())).start()?;
        assert_eq!(report.ledger().finished, 2);
        assert_eq!(report.dict().get(SUM), Some(Sum(3000)));
    }
    Ok(())
}

#[test]
fn the_lock_of_an_outer_run_can_be_held_around_an_inner_one() -> Result<(), Error> {
    const WORD: Key<String> = Key::new("word");
    fn inner() -> TaskResult {
        global_lock().insert(WORD, "inner".into());
        Ok(())
    }
    fn outer() -> TaskResult {
        let mut outer = global_lock();
        outer.insert(WORD, "outer".into());
        let report = Runner::new(MessageLoop::new(inner, || ())).workers(1).start()?;
        assert_eq!(report.dict().get(WORD).as_deref(), Some("inner"));
        assert_eq!(outer.get(WORD).as_deref(), Some("outer"));
        let again = catch_unwind(|| drop(global_lock()));
        assert!(again.is_err(), "the outer lock is still held");
        Ok(())
    }
    let _watchdog = Watchdog::after(PATIENCE, "a run around which a lock is held");
    for setting in Setting::all(&[1]) {
        let report = setting.runner(MessageLoop::new(|| post_task(outer, ()), || ())).start()?;
        assert_eq!(report.dict().get(WORD).as_deref(), Some("outer"));
    }
    Ok(())
}

#[test]
fn the_place_of_a_panic_is_noted_after_an_inner_run() {
    for setting in Setting::all(&[1, 2]) {
        let outer = program(
            |cx| {
                cx.post(Number(3));
                Ok(())
            },
            |&Number(n), _| {
                sum_below(n, setting)?;
                panic!("after the inner run");
            },
        );
        let error = setting.runner(outer).start().expect_err("the task dies");
        let report = error.report().expect("there was a run");
        let place = report.failures()[0].place().expect("the hook noted it");
        assert!(place.starts_with(file!()), "{place}");
    }
}

/// A message loop that counts to `n`, meeting another run at `together` in its first task.
fn count_to(n: u64, together: &'static Barrier, setting: Setting) -> Result<Report, Error> {
    let begin = move || {
        let meet = move || _ = together.wait();
        post_task(meet, ());
        (0..n).for_each(|_| post_task(|| merge(SUM, Sum(1)), ()));
    };
    setting.runner(MessageLoop::new(begin, || ())).start()
}

#[test]
fn two_runs_at_once_do_not_see_each_other() {
    static TOGETHER: Barrier = Barrier::new(2);
    for setting in Setting::all(&[1, 2]) {
        thread::scope(|scope| {
            for n in [100, 20_000] {
                scope.spawn(move || {
                    let report = count_to(n, &TOGETHER, setting).expect("nothing fails");
                    assert_eq!(report.ledger().posted, n + 1);
                    assert_eq!(report.dict().get(SUM), Some(Sum(n)));
                });
            }
        });
    }
}

#[test]
fn many_runs_at_once_are_all_exact() {
    thread::scope(|scope| {
        for setting in Setting::all(&[1, 2, 3, 10]) {
            scope.spawn(move || {
                for n in 0..200 {
                    let sum = sum_below(n, setting).expect("nothing fails");
                    assert_eq!(sum, n * n.saturating_sub(1) / 2);
                }
            });
        }
    });
}
