//! Programs that do odd things where nobody expects it: the run ends, and says what happened.

use std::{
    fmt, mem,
    panic::{catch_unwind, resume_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

use prunner::{
    Context, Error, Key, Labeled, Max, Merge, MessageLoop, Report, Runner, Sum, TaskResult,
    global_lock, merge, post_task,
};
use prunner_tests::{
    gate::PATIENCE,
    program::{program, program_with_end},
    setting::Setting,
    watchdog::Watchdog,
};
use serde::{Deserialize, Serialize};

prunner_tests::watched!();

#[derive(Labeled, Clone, Copy)]
struct Number(u64);

#[derive(Labeled, Clone, Copy)]
struct Named {
    n: u64,
    even: bool,
}

/// A run of one task on one worker.
fn run_one<T: Labeled + Send>(
    make: impl Fn() -> T + Sync,
    handler: impl Fn(&T, &mut Context<'_, T>) -> TaskResult + Sync,
) -> Result<Report, Error> {
    let begin = |cx: &mut Context<'_, T>| {
        cx.post(make());
        Ok(())
    };
    Runner::new(program(begin, handler)).workers(1).start()
}

/// How the only failure of such a run reads.
fn failure<T: Labeled + Send>(
    make: impl Fn() -> T + Sync,
    handler: impl Fn(&T, &mut Context<'_, T>) -> TaskResult + Sync,
) -> String {
    let error = run_one(make, handler).expect_err("the task dies");
    error.report().expect("there was a run").failures()[0].to_string()
}

#[test]
fn data_reads_as_it_was_written() {
    let die = |_: &Number, _: &mut Context<'_, Number>| Err("no".into());
    assert_eq!(failure(|| Number(1), die), "Number(1): no");
    let named = || Named { n: 2, even: true };
    assert_eq!(failure(named, |_, _| Err("no".into())), "Named { n: 2, even: true }: no");
    let read = named();
    assert!(read.even && read.n == 2);
}

/// An error that cannot even say what it is.
#[derive(Debug)]
struct Mute;

impl fmt::Display for Mute {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("mute")
    }
}

impl std::error::Error for Mute {}

#[test]
fn an_error_without_a_text_is_an_error_all_the_same() {
    let begin = program(|_| Err(Mute)?, |_: &Number, _| Ok(()));
    assert!(Runner::new(begin).start().expect_err("begin fails").is_begin());
    let end = program_with_end(|_| Ok(()), |_: &Number, _| Ok(()), |_| Err(Mute)?);
    assert!(Runner::new(end).start().expect_err("end fails").is_end());
    assert!(failure(|| Number(0), |_, _| Err(Mute)?).contains("mute"));
}

struct NoLabel;

impl Labeled for NoLabel {
    fn label(&self) -> &str {
        panic!("no label")
    }
}

#[test]
fn a_task_whose_label_panics_is_dead() {
    let _watchdog = Watchdog::after(PATIENCE, "tasks without labels");
    for setting in Setting::all(&[1, 3]) {
        let broken = program(
            |cx| {
                cx.post_all([NoLabel, NoLabel]);
                Ok(())
            },
            |_: &NoLabel, _| Ok(()),
        );
        let error = setting.runner(broken).start().expect_err("both die");
        assert_eq!(error.report().expect("there was a run").ledger().dead, 2);
    }
}

/// Its label's number panics at those calls, counted from 0.
struct Moody {
    calls: AtomicU64,
    fails: fn(u64) -> bool,
}

impl Labeled for Moody {
    fn label(&self) -> &str {
        "moody"
    }

    fn label_id(&self) -> u64 {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(!(self.fails)(call), "call {call}");
        7
    }
}

#[test]
fn a_label_that_panics_now_and_then_does_not_upset_the_ledger() {
    let moods: [fn(u64) -> bool; 3] = [|call| call == 0, |call| call > 0, |call| call % 2 == 1];
    for fails in moods {
        let make = |fails| Moody { calls: AtomicU64::new(0), fails };
        let moody = program(
            |cx| {
                cx.post_all((0..19).map(|_| make(fails)));
                // The newest runs first and is well, so that there is a row to be mistaken for theirs.
                cx.post(make(|_| false));
                Ok(())
            },
            |_: &Moody, _| Ok(()),
        );
        let report = Runner::new(moody).workers(1).tolerate_dead(true).start();
        let ledger = report.expect("the dead are tolerated").ledger();
        assert_eq!((ledger.posted, ledger.left), (20, 0));
        assert_eq!(ledger.finished + ledger.dead, 20);
    }
}

#[test]
fn the_place_of_another_panic_is_not_told() {
    let error = run_one(
        || Number(0),
        |_, _| {
            let _ = catch_unwind(|| panic!("caught and forgotten"));
            resume_unwind(Box::new("from elsewhere"));
        },
    );
    let error = error.expect_err("the task dies");
    let failure = &error.report().expect("there was a run").failures()[0];
    assert_eq!((failure.message(), failure.place()), ("from elsewhere", None));
}

#[test]
fn two_types_under_one_name_are_both_told() {
    const SUM: Key<Sum<u64>> = Key::new("clash");
    const MAX: Key<Max<u64>> = Key::new("clash");
    let text = failure(
        || Number(0),
        |_, cx| {
            cx.merge(SUM, Sum(1));
            cx.merge(MAX, Max(1));
            Ok(())
        },
    );
    assert!(text.contains("Sum<u64>") && text.contains("Max<u64>"), "{text}");
}

/// A merge that merges.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Recursive;

const RECURSIVE: Key<Recursive> = Key::new("recursive");
const COUNT: Key<Sum<u64>> = Key::new("count");

impl Merge for Recursive {
    fn merge(&mut self, _: Self) {
        merge(COUNT, Sum(1));
    }
}

#[test]
fn a_merge_that_merges_while_others_are_joined_does_not_wait_for_itself() {
    fn first() {
        merge(RECURSIVE, Recursive);
        merge(COUNT, Sum(1));
        post_task(second, ());
    }
    fn second() {
        global_lock().get(RECURSIVE);
        merge(RECURSIVE, Recursive);
        post_task(third, ());
    }
    fn third() {
        global_lock().get(RECURSIVE);
    }
    let _watchdog = Watchdog::after(PATIENCE, "a merge that merges");
    let program = MessageLoop::new(|| post_task(first, ()), || ());
    assert!(Runner::new(program).workers(1).start().is_err(), "the merge panics");
}

#[test]
fn a_lock_that_is_never_given_back_is_told() {
    let _watchdog = Watchdog::after(PATIENCE, "a forgotten lock");
    let error = run_one(
        || Number(0),
        |_, cx| {
            mem::forget(cx.lock());
            Ok(())
        },
    );
    let error = error.expect_err("the dict cannot be had");
    assert!(error.is_dict() && error.to_string().contains("never dropped"), "{error}");
}

#[test]
fn a_function_pointer_is_called_by_its_type() {
    fn take(_: String) {}
    let program = MessageLoop::new(|| post_task(take as fn(String), "x".to_string()), || ());
    let report = Runner::new(program).workers(1).start().expect("nothing fails");
    assert_eq!(report.labels()[0].label(), "fn(alloc::string::String)");
}
