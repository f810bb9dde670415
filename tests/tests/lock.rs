//! The lock of the dict: exclusive, usable after every panic, and refused twice to one task.

use std::sync::atomic::{AtomicBool, Ordering};

use prunner::{Context, Error, Key, Labeled, Runner, Sum, TaskResult};
use prunner_tests::{
    gate::{Gate, PATIENCE},
    program::program,
    scale::times,
    setting::Setting,
    watchdog::Watchdog,
};

prunner_tests::watched!();

const COUNT: Key<u64> = Key::new("count");
const MERGED: Key<Sum<u64>> = Key::new("merged");

#[derive(Labeled, Clone, Copy)]
struct Number(u64);

fn post_numbers(n: u64) -> impl Fn(&mut Context<'_, Number>) -> TaskResult + Sync {
    move |cx| {
        cx.post_all((0..n).map(Number));
        Ok(())
    }
}

#[test]
fn increments_under_the_lock_are_exact() -> Result<(), Error> {
    const TASKS: u64 = 20_000;
    for setting in Setting::all(&[1, 2, 10]) {
        let count = program(post_numbers(TASKS), |_, cx| {
            *cx.lock().entry(COUNT).or_insert(0) += 1;
            Ok(())
        });
        assert_eq!(setting.runner(count).start()?.dict().get(COUNT), Some(TASKS), "{setting:?}");
    }
    Ok(())
}

#[test]
fn two_handlers_never_hold_it_together() -> Result<(), Error> {
    for setting in Setting::all(&[10]) {
        let held = AtomicBool::new(false);
        let holders = program(post_numbers(1000), |_, cx| {
            let lock = cx.lock();
            assert!(!held.swap(true, Ordering::SeqCst), "somebody else holds it");
            std::thread::yield_now();
            held.store(false, Ordering::SeqCst);
            drop(lock);
            Ok(())
        });
        setting.runner(holders).start()?;
    }
    Ok(())
}

#[test]
fn posting_and_merging_work_while_it_is_held() -> Result<(), Error> {
    for setting in Setting::all(&[1, 3]) {
        let holders = program(post_numbers(100), |&Number(n), cx| {
            let mut lock = cx.lock();
            *lock.entry(COUNT).or_default() += 1;
            cx.merge(MERGED, Sum(1));
            if n < 100 {
                cx.post(Number(n + 100));
                cx.flush();
            }
            *lock.entry(COUNT).or_default() += 1;
            Ok(())
        });
        let report = setting.runner(holders).start()?;
        assert_eq!(report.dict().get(COUNT), Some(400));
        assert_eq!(report.dict().get(MERGED), Some(Sum(200)));
    }
    Ok(())
}

#[test]
fn a_panic_under_it_leaves_it_usable() {
    for run in 0..times("PRUNNER_LOCK_PANICS", 1000) {
        let workers = 1 + (run % 3) as usize;
        let panics = program(post_numbers(8), |&Number(n), cx| {
            let mut lock = cx.lock();
            *lock.entry(COUNT).or_default() += 1;
            assert!(n % 4 != 0, "under the lock");
            Ok(())
        });
        let runner = Runner::new(panics).workers(workers).membarrier(run % 2 == 0);
        let report = runner.tolerate_dead(true).start().expect("dead tasks are tolerated");
        assert_eq!((report.ledger().finished, report.ledger().dead), (6, 2));
        assert_eq!(report.dict().get(COUNT), Some(8));
    }
}

#[test]
fn a_task_that_takes_it_twice_dies_and_frees_it() {
    let _watchdog = Watchdog::after(PATIENCE, "a task that takes the lock twice");
    for setting in Setting::all(&[1, 3]) {
        let greedy = program(post_numbers(10), |&Number(n), cx| {
            let mut first = cx.lock();
            *first.entry(COUNT).or_default() += 1;
            if n == 5 {
                drop(cx.lock());
            }
            Ok(())
        });
        let error = setting.runner(greedy).start().expect_err("one task dies");
        let report = error.report().expect("there was a run");
        assert_eq!((report.ledger().finished, report.ledger().dead), (9, 1));
        assert_eq!(report.dict().get(COUNT), Some(10));
        let message = report.failures()[0].message();
        assert!(message.starts_with("the dict lock is already held by this task"), "{message}");
    }
}

#[test]
fn a_task_that_reads_beside_it_dies() {
    let _watchdog = Watchdog::after(PATIENCE, "a task that reads while it holds the lock");
    for setting in Setting::all(&[1, 2]) {
        let careless = program(post_numbers(1), |_, cx| {
            let _lock = cx.lock();
            cx.get(COUNT);
            Ok(())
        });
        let error = setting.runner(careless).start().expect_err("the task dies");
        assert!(
            error.to_string().contains("the dict lock is already held by this task"),
            "{error}"
        );
    }
}

#[test]
fn it_can_be_taken_again_and_again_by_one_task() -> Result<(), Error> {
    let patient = program(post_numbers(1), |_, cx| {
        for _ in 0..1000 {
            *cx.lock().entry(COUNT).or_default() += 1;
            cx.get(COUNT);
        }
        Ok(())
    });
    assert_eq!(Runner::new(patient).start()?.dict().get(COUNT), Some(1000));
    Ok(())
}

#[test]
fn begin_can_take_it_and_others_wait() -> Result<(), Error> {
    for setting in Setting::all(&[2]) {
        let tried = Gate::new();
        let holds = program(
            |cx| {
                let mut lock = cx.lock();
                cx.post_all([Number(0), Number(1)]);
                tried.wait_for(1);
                lock.insert(COUNT, 7);
                Ok(())
            },
            |_, cx| {
                tried.arrive();
                assert_eq!(cx.lock().get(COUNT), Some(7));
                Ok(())
            },
        );
        setting.runner(holds).start()?;
    }
    Ok(())
}
