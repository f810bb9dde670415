//! What happens when `begin` or `end` fails: the run stops, all workers with it, and `start` tells.

use std::sync::atomic::{AtomicU64, Ordering};

use prunner::{Context, Error, Key, Labeled, Priority, Sum, TaskResult};
use prunner_tests::{
    gate::{Gate, PATIENCE},
    program::{program, program_with_end},
    random::Random,
    setting::Setting,
    watchdog::Watchdog,
};

prunner_tests::watched!();

const DONE: Key<Sum<u64>> = Key::new("done");

#[derive(Labeled, Clone, Copy)]
struct Number(u64);

/// The two ways in which a hook fails.
const WAYS: [fn() -> TaskResult; 2] =
    [|| Err("there is no input".into()), || panic!("there is no input")];

/// The text of a failure without the place of a panic, which changes with every edit.
fn without_place(error: &Error) -> String {
    let text = error.to_string();
    match text.split_once("panicked at ") {
        None => text,
        Some((before, after)) => {
            let message = after.splitn(4, ':').nth(3).expect("file:line:column: message");
            format!("{before}panicked:{message}")
        }
    }
}

#[test]
fn a_begin_that_fails_at_once_is_told() {
    for setting in Setting::all(&[1, 3]) {
        for (fail, text) in WAYS.into_iter().zip(["", "panicked: "]) {
            let ends = AtomicU64::new(0);
            let broken = program_with_end(
                |_| fail(),
                |_: &Number, _| unreachable!("nothing was posted"),
                |_| {
                    ends.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                },
            );
            let error = setting.runner(broken).start().expect_err("begin fails");
            assert!(error.is_begin() && !error.is_dead() && !error.is_end());
            assert_eq!(error.exit_code(), 1);
            let expected = format!("begin failed, so end was not run: {text}there is no input");
            assert_eq!(without_place(&error), expected);
            assert_eq!(error.report().map(|report| report.ledger().posted), Some(0));
            assert_eq!(ends.into_inner(), 0);
        }
    }
}

/// Everything that `begin` posted goes on for ever, unless the failure stops it.
#[test]
fn a_begin_that_fails_late_stops_endless_work() {
    let _watchdog = Watchdog::after(PATIENCE, "endless work after a failed begin");
    for setting in Setting::all(&[2, 10]) {
        for fail in WAYS {
            let running = Gate::new();
            let endless = program(
                |cx| {
                    cx.post_all((0..20).map(Number));
                    running.wait_for(1000);
                    fail()
                },
                |&number, cx| {
                    running.arrive();
                    cx.merge(DONE, Sum(1));
                    cx.post(number);
                    Ok(())
                },
            );
            let error = setting.runner(endless).start().expect_err("begin fails");
            let report = error.report().expect("there was a run");
            let ledger = report.ledger();
            assert!(ledger.finished >= 1000, "{ledger}");
            assert_eq!(ledger.left, 20, "each of the 20 chains has one open end: {ledger}");
            assert_eq!(ledger.posted, ledger.finished + ledger.left);
            assert_eq!(report.dict().get(DONE), Some(Sum(ledger.finished)));
        }
    }
}

/// Two workers have nothing to do and sleep, most times, when `begin` fails.
#[test]
fn a_begin_that_fails_wakes_those_who_sleep() {
    let watchdog = Watchdog::after(PATIENCE, "a run whose begin failed");
    let mut random = Random::new(3);
    for _ in 0..50 {
        for setting in Setting::all(&[3]) {
            watchdog.progress();
            let (met, looks) = (Gate::new(), random.below(3000));
            let broken = program(
                |cx| {
                    cx.post_all([Number(1), Number(2)]);
                    met.wait_for(2);
                    (0..looks).for_each(|_| std::thread::yield_now());
                    Err("there is no input".into())
                },
                |_: &Number, _| {
                    met.arrive();
                    met.wait_for(2);
                    Ok(())
                },
            );
            let error = setting.runner(broken).start().expect_err("begin fails");
            assert_eq!(error.report().map(|report| report.workers_started()), Some(3));
        }
    }
}

/// A post with a priority does not even wait for a second one.
#[test]
fn what_begin_posts_with_a_priority_is_published_as_it_comes() {
    for setting in Setting::all(&[1, 2]) {
        for priority in [Priority::High, Priority::Low] {
            let broken = program(
                |cx| {
                    cx.merge(DONE, Sum(1));
                    cx.post_with(priority, Number(1));
                    Err("too late".into())
                },
                |_: &Number, _| Ok(()),
            );
            let error = setting.runner(broken).start().expect_err("begin fails");
            let report = error.report().expect("there was a run");
            let ledger = report.ledger();
            assert_eq!((ledger.posted, ledger.finished + ledger.left), (1, 1), "{setting:?}");
            assert_eq!(report.dict().get(DONE), Some(Sum(1)), "what it had merged goes with it");
        }
    }
}

/// `begin` keeps the promise of every handler: what it did not flush never happened.
#[test]
fn a_failed_begin_leaves_no_unpublished_post_and_no_merge() {
    for setting in Setting::all(&[1, 2]) {
        let broken = program(
            |cx| {
                cx.merge(DONE, Sum(1));
                cx.post(Number(1));
                Err("too late".into())
            },
            |_: &Number, _| unreachable!("it was never published"),
        );
        let error = setting.runner(broken).start().expect_err("begin fails");
        let report = error.report().expect("there was a run");
        assert_eq!((report.ledger().posted, report.ledger().left), (0, 0));
        assert_eq!(report.dict().get(DONE), None);
    }
}

#[test]
fn a_handler_that_runs_when_begin_fails_comes_to_its_end() {
    for setting in Setting::all(&[2]) {
        let (started, failed) = (Gate::new(), Gate::new());
        struct Announce<'a>(&'a Gate);
        impl Drop for Announce<'_> {
            fn drop(&mut self) {
                self.0.arrive();
            }
        }
        let slow = program(
            |cx| {
                cx.post_all([Number(1), Number(2)]);
                started.wait_for(1);
                let _announce = Announce(&failed);
                Err("begin fails".into())
            },
            |&Number(n), cx| {
                started.arrive();
                failed.wait_for(1);
                cx.merge(DONE, Sum(1));
                cx.post(Number(n + 10));
                Ok(())
            },
        );
        let error = setting.runner(slow).start().expect_err("begin fails");
        let report = error.report().expect("there was a run");
        let ledger = report.ledger();
        assert!(ledger.finished >= 1, "{ledger}");
        assert_eq!((ledger.dead, ledger.left), (0, 2), "two chains with one open end each");
        assert_eq!(report.dict().get(DONE), Some(Sum(ledger.finished)));
    }
}

fn count_to_ten(cx: &mut Context<'_, Number>) -> TaskResult {
    cx.post_all((1..=10).map(Number));
    Ok(())
}

#[test]
fn an_end_that_fails_is_told() {
    for setting in Setting::all(&[1, 3]) {
        for (fail, text) in WAYS.into_iter().zip(["", "panicked: "]) {
            let add = |&Number(n): &Number, cx: &mut Context<'_, Number>| {
                cx.merge(DONE, Sum(n));
                Ok(())
            };
            let broken = program_with_end(count_to_ten, add, |_| fail());
            let error = setting.runner(broken).start().expect_err("end fails");
            assert!(error.is_end() && !error.is_dead() && !error.is_begin());
            assert_eq!(without_place(&error), format!("end failed: {text}there is no input"));
            let report = error.report().expect("there was a run");
            assert_eq!(report.ledger().finished, 10);
            assert_eq!(report.dict().get(DONE), Some(Sum(55)));
        }
    }
}

#[test]
fn an_end_that_fails_after_dead_tasks_tells_both() {
    for setting in Setting::all(&[1]) {
        let broken = program_with_end(
            |cx| {
                cx.post(Number(1));
                Ok(())
            },
            |_: &Number, _| Err("no task works".into()),
            |_| Err("nothing to write".into()),
        );
        let error = setting.runner(broken).start().expect_err("everything fails");
        assert!(error.is_end());
        let text = error.to_string();
        assert!(text.starts_with("end failed: nothing to write; 1 of 1 tasks died\n"), "{text}");
        assert!(text.ends_with(": no task works"), "{text}");
    }
}

#[test]
fn an_end_that_fails_is_not_tolerated_with_the_dead() {
    for setting in Setting::all(&[1]) {
        let broken = program_with_end(count_to_ten, |_, _| Ok(()), |_| Err("no".into()));
        let error = setting.runner(broken).tolerate_dead(true).start().expect_err("end fails");
        assert!(error.is_end());
    }
}

/// Nothing of a failed run is left in the process that would disturb the next.
#[test]
fn runs_go_on_after_a_failed_one() -> Result<(), Error> {
    for setting in Setting::all(&[1, 3]) {
        for fail in WAYS {
            let broken = program(|_| fail(), |_: &Number, _| Ok(()));
            setting.runner(broken).start().expect_err("begin fails");
            let report = setting.runner(program(count_to_ten, |_, _| Ok(()))).start()?;
            assert_eq!(report.ledger().finished, 10);
        }
    }
    Ok(())
}
