//! A run ends after its last task, not before, and at once: whatever the tasks do.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use prunner::{Error, Labeled, Ledger, Runner};
use prunner_tests::{
    gate::PATIENCE,
    program::{program, program_with_end},
    scale::times,
    setting::{QUEUES, Setting},
    tree::{NODES, SUM, Shape, Tree},
    watchdog::Watchdog,
};

prunner_tests::watched!();

/// Runs `tree` and compares everything with what was computed beforehand.
#[track_caller]
fn assert_exact(tree: &Tree, setting: Setting) {
    let truth = tree.truth();
    let report =
        setting.runner(tree).tolerate_dead(true).start().expect("dead tasks are tolerated");
    let all = truth.finished + truth.dead;
    let ledger = report.ledger();
    let what = format!("{setting:?}, {tree:?}");
    assert_eq!((ledger.posted, ledger.left), (all, 0), "{what}");
    assert_eq!((ledger.finished, ledger.dead), (truth.finished, truth.dead), "{what}");
    assert_eq!(report.dict().get(NODES).unwrap_or_default().0, truth.finished, "{what}");
    assert_eq!(report.dict().get(SUM).unwrap_or_default().0, truth.sum, "{what}");
    assert_eq!((tree.ends(), tree.handled_at_end()), (1, all), "{what}");
    assert!((1..=setting.workers).contains(&report.workers_started()), "{what}");
}

/// Runs a quarter of all small random trees on each queue and in each order.
#[track_caller]
fn assert_small_trees_exact(workers: usize) {
    let trees = times("PRUNNER_TREES", 100_000) / 4;
    let settings: Vec<Setting> = Setting::all(&[workers]).collect();
    let watchdog = Watchdog::after(PATIENCE, "small trees");
    for seed in 0..trees {
        watchdog.progress();
        let shape = Shape { height: seed % 5, children: 3, fails: [0, 7][(seed % 2) as usize] };
        let tree = Tree::new(seed * 4 + workers as u64, shape);
        assert_exact(&tree, settings[(seed / 10) as usize % settings.len()]);
    }
}

#[test]
fn small_trees_are_exact_on_one_worker() {
    assert_small_trees_exact(1);
}

#[test]
fn small_trees_are_exact_on_two_workers() {
    assert_small_trees_exact(2);
}

#[test]
fn small_trees_are_exact_on_three_workers() {
    assert_small_trees_exact(3);
}

#[test]
fn small_trees_are_exact_on_ten_workers() {
    assert_small_trees_exact(10);
}

#[test]
fn large_trees_are_exact_on_many_workers() {
    let watchdog = Watchdog::after(PATIENCE, "large trees");
    for seed in 0..times("PRUNNER_LARGE_TREES", 8) {
        watchdog.progress();
        let shape = Shape { height: 9, children: 5, fails: 100 };
        for setting in Setting::all(&[2, 10, 64]) {
            assert_exact(&Tree::new(seed, shape), setting);
        }
    }
}

#[derive(Labeled)]
struct Number(u64);

#[test]
fn a_run_of_no_tasks_ends() -> Result<(), Error> {
    let _watchdog = Watchdog::after(PATIENCE, "a run of no tasks");
    for setting in Setting::all(&[1, 2, 10]) {
        let ends = AtomicU64::new(0);
        let nothing = program_with_end(
            |_| Ok(()),
            |_: &Number, _| unreachable!("there is no task"),
            |dict| {
                assert!(dict.is_empty());
                ends.fetch_add(1, Ordering::SeqCst);
                Ok(())
            },
        );
        let report = setting.runner(nothing).start()?;
        assert_eq!(report.ledger(), Ledger::default());
        assert_eq!(ends.into_inner(), 1);
    }
    Ok(())
}

#[test]
fn a_chain_of_a_million_tasks_ends() -> Result<(), Error> {
    let _watchdog = Watchdog::after(PATIENCE, "a chain of a million tasks");
    const LENGTH: u64 = 1_000_000;
    for membarrier in QUEUES {
        let chain = program(
            |cx| {
                cx.post(Number(1));
                Ok(())
            },
            |&Number(n), cx| {
                if n < LENGTH {
                    cx.post(Number(n + 1));
                }
                Ok(())
            },
        );
        let report = Runner::new(chain).workers(2).membarrier(membarrier).start()?;
        assert_eq!(report.ledger().finished, LENGTH);
    }
    Ok(())
}

#[test]
fn begin_can_post_a_million_tasks() -> Result<(), Error> {
    const TASKS: u64 = 1_000_000;
    for setting in Setting::all(&[2]) {
        let sum = AtomicU64::new(0);
        let flat = program(
            |cx| {
                for n in 0..TASKS {
                    cx.post(Number(n));
                }
                Ok(())
            },
            |&Number(n), _| {
                sum.fetch_add(n, Ordering::Relaxed);
                Ok(())
            },
        );
        assert_eq!(setting.runner(flat).start()?.ledger().finished, TASKS);
        assert_eq!(sum.into_inner(), TASKS * (TASKS - 1) / 2);
    }
    Ok(())
}

#[test]
fn posts_of_posts_need_no_stack() {
    const SMALL_STACK: usize = 256 * 1024;
    const DEPTH: u64 = 200_000;
    let run = || {
        for setting in Setting::all(&[1]) {
            let deep = program(
                |cx| {
                    cx.post(Number(DEPTH));
                    Ok(())
                },
                |&Number(depth), cx| {
                    if depth > 0 {
                        cx.post_all([Number(depth - 1), Number(0)]);
                    }
                    Ok(())
                },
            );
            let report = setting.runner(deep).start().expect("nothing fails");
            assert_eq!(report.ledger().finished, 2 * DEPTH + 1);
        }
    };
    let small = thread::Builder::new().stack_size(SMALL_STACK).spawn(run);
    small.expect("a thread starts").join().expect("the run ends");
}
