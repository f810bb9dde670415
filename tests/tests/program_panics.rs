//! A panic in any code of the program that a task brings along makes that task dead, with the reason, and
//! the run goes on. Handlers themselves are in `failures.rs`.

use std::{
    error, fmt,
    panic::panic_any,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use prunner::{Append, Error, Key, Labeled, Merge, Report, Sum, TaskResult};
use prunner_tests::{
    program::{program, program_with_end},
    setting::Setting,
};
use serde::{Deserialize, Serialize};

prunner_tests::watched!();

const TASKS: u64 = 100;
const DONE: Key<Sum<u64>> = Key::new("done");

/// A payload that is no text and panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload panics, too");
    }
}

#[derive(Labeled, Clone, Copy)]
struct Number(u64);

/// Runs `handler` on 100 numbers under every setting, and checks that tasks die of 7 and of 57 alone, for
/// this reason, and that all others do what they do.
#[track_caller]
fn assert_two_die(
    reason: &str,
    handler: impl Fn(u64, &mut prunner::Context<'_, Number>) -> TaskResult + Sync,
) {
    reports(handler, |report| assert_two_dead(report, reason));
}

fn reports(
    handler: impl Fn(u64, &mut prunner::Context<'_, Number>) -> TaskResult + Sync,
    check: impl Fn(&Report),
) {
    for setting in Setting::all(&[1, 3]) {
        let two_die = program(
            |cx| {
                cx.post_all((0..TASKS).map(Number));
                Ok(())
            },
            |&Number(n), cx| {
                cx.merge(DONE, Sum(1));
                handler(n, cx)
            },
        );
        check(&setting.runner(two_die).tolerate_dead(true).start().expect("tolerated"));
    }
}

fn is_deadly(n: u64) -> bool {
    n % 50 == 7
}

#[track_caller]
fn assert_all_but_two(report: &Report) {
    let ledger = report.ledger();
    assert_eq!((ledger.posted, ledger.finished, ledger.dead), (TASKS, TASKS - 2, 2));
    assert_eq!(report.dict().get(DONE), Some(Sum(TASKS - 2)));
}

#[track_caller]
fn assert_two_dead(report: &Report, reason: &str) {
    assert_all_but_two(report);
    for failure in report.failures() {
        assert_eq!((failure.message(), failure.is_panic()), (reason, true));
    }
}

/// A task whose label, data or destructor panics if its number is deadly.
#[derive(Clone, Copy)]
enum Panics {
    Label,
    LabelId,
    LabelAfterwards,
    Data,
    Drop,
    DropWithPayload,
}

struct Touchy {
    number: u64,
    panics: Panics,
    ran: AtomicBool,
}

impl Labeled for Touchy {
    fn label(&self) -> &str {
        match self.panics {
            Panics::Label => assert!(!is_deadly(self.number), "no label"),
            Panics::LabelAfterwards
                if is_deadly(self.number) && self.ran.load(Ordering::SeqCst) =>
            {
                panic_any(Bomb)
            }
            _ => {}
        }
        "touchy"
    }

    fn label_id(&self) -> u64 {
        match self.panics {
            // The default, which asks for the label.
            Panics::Label | Panics::LabelAfterwards => self.label().len() as u64,
            Panics::LabelId => {
                assert!(!is_deadly(self.number), "no number");
                0
            }
            _ => 0,
        }
    }

    fn fmt_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.panics {
            Panics::Data => panic_any(Bomb),
            _ => write!(f, "{}", self.number),
        }
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        if is_deadly(self.number) && self.ran.load(Ordering::SeqCst) {
            match self.panics {
                Panics::Drop => panic!("no good end"),
                Panics::DropWithPayload => panic_any(Bomb),
                _ => {}
            }
        }
    }
}

/// The report of each setting's run of 100 touchy tasks, of which two die.
fn touchy(panics: Panics, fails: bool) -> impl Iterator<Item = Report> {
    Setting::all(&[1, 3]).map(move |setting| {
        let tasks = program(
            |cx| {
                let task = |number| Touchy { number, panics, ran: AtomicBool::new(false) };
                cx.post_all((0..TASKS).map(task));
                Ok(())
            },
            |task: &Touchy, cx| {
                task.ran.store(true, Ordering::SeqCst);
                cx.merge(DONE, Sum(1));
                match fails && is_deadly(task.number) {
                    true => Err("fails".into()),
                    false => Ok(()),
                }
            },
        );
        setting.runner(tasks).tolerate_dead(true).start().expect("tolerated")
    })
}

#[test]
fn a_label_that_panics() {
    for report in touchy(Panics::Label, false) {
        assert_two_dead(&report, "no label");
        assert_eq!(report.failures()[0].label(), "a task without a label");
    }
    touchy(Panics::LabelId, false).for_each(|report| assert_two_dead(&report, "no number"));
}

/// What the program says of a task that has failed may panic; it died of its error even so.
#[test]
fn a_label_and_data_that_panic_when_they_are_reported() {
    for panics in [Panics::LabelAfterwards, Panics::Data] {
        for report in touchy(panics, true) {
            assert_eq!((report.ledger().finished, report.ledger().dead), (TASKS - 2, 2));
            assert_eq!(report.dict().get(DONE), Some(Sum(TASKS - 2)));
            let failure = &report.failures()[0];
            assert_eq!(
                (failure.message(), failure.data()),
                match panics {
                    Panics::Data => ("fails", None),
                    _ => ("fails", failure.data()),
                }
            );
        }
    }
}

/// A task is dropped before it is committed: what its handler did never happened.
#[test]
fn a_destructor_of_a_task_that_panics() {
    for report in touchy(Panics::Drop, false) {
        assert_two_dead(&report, "no good end");
        let (failure, label) = (&report.failures()[0], report.label("touchy").expect("it ran"));
        assert_eq!((failure.label(), failure.data()), ("touchy", None));
        assert_eq!((label.finished(), label.dead()), (TASKS - 2, 2));
    }
    for report in touchy(Panics::DropWithPayload, false) {
        assert_two_dead(&report, "with a value that is not a text");
    }
}

/// It died already: that its destructor panics, too, changes nothing.
#[test]
fn a_destructor_of_a_dead_task_that_panics() {
    for report in touchy(Panics::DropWithPayload, true) {
        assert_eq!((report.ledger().finished, report.ledger().dead), (TASKS - 2, 2));
        assert_eq!(report.failures()[0].message(), "fails");
    }
}

/// An error whose text, or whose destructor, or both of which panic.
#[derive(Debug)]
struct Unspeakable {
    text: bool,
    drop: bool,
}

impl fmt::Display for Unspeakable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!self.text, "no words");
        f.write_str("spoken")
    }
}

impl error::Error for Unspeakable {}

impl Drop for Unspeakable {
    fn drop(&mut self) {
        if self.drop {
            panic_any(Bomb);
        }
    }
}

#[test]
fn an_error_whose_text_and_destructor_panic() {
    for drop in [false, true] {
        let handler = |n, _: &mut prunner::Context<'_, Number>| match is_deadly(n) {
            true => Err(Unspeakable { text: true, drop })?,
            false => Ok(()),
        };
        // The handler itself has not panicked: it has returned an error.
        reports(handler, |report| {
            assert_all_but_two(report);
            for failure in report.failures() {
                let message = failure.message();
                assert!(message.starts_with("an error's Display or source panicked"), "{message}");
                assert!(message.ends_with(": no words") && !failure.is_panic(), "{message}");
            }
        });
    }
}

#[test]
fn an_error_whose_destructor_panics() {
    for setting in Setting::all(&[1]) {
        let fails = program(
            |cx| {
                cx.post_all((0..TASKS).map(Number));
                Ok(())
            },
            |_, _| Err(Unspeakable { text: false, drop: true })?,
        );
        let report = setting.runner(fails).tolerate_dead(true).start().expect("tolerated");
        assert_eq!(report.ledger().dead, TASKS);
        assert_eq!(report.failures()[0].message(), "spoken");
    }
}

/// A value of the dict that panics when it is cloned, or dropped.
#[derive(Serialize, Deserialize)]
struct Brittle(bool);

impl Clone for Brittle {
    fn clone(&self) -> Self {
        panic!("no copy");
    }
}

impl Drop for Brittle {
    fn drop(&mut self) {
        if self.0 {
            // Once: the next one to drop it may be a panic that unwinds.
            self.0 = false;
            panic!("no good end of a value");
        }
    }
}

const BRITTLE: Key<Brittle> = Key::new("brittle");

#[test]
fn a_clone_of_a_value_that_panics() {
    assert_two_die("no copy", |n, cx| {
        cx.lock().entry(BRITTLE).or_insert(Brittle(false));
        if is_deadly(n) {
            drop(cx.get(BRITTLE));
        }
        Ok(())
    });
    assert_two_die("no copy", |n, cx| {
        cx.lock().entry(BRITTLE).or_insert(Brittle(false));
        if is_deadly(n) {
            drop(cx.lock().get(BRITTLE));
        }
        Ok(())
    });
}

#[test]
fn a_destructor_of_a_value_that_panics() {
    assert_two_die("no good end of a value", |n, cx| {
        let mut lock = cx.lock();
        let old = lock.insert(BRITTLE, Brittle(is_deadly(n)));
        drop(old);
        if is_deadly(n) {
            *lock.entry(BRITTLE).or_insert(Brittle(false)) = Brittle(false);
        }
        Ok(())
    });
}

/// What a dead task has merged is dropped by the run.
#[test]
fn a_destructor_of_a_merged_value_that_panics() {
    const LIST: Key<Append<Brittle>> = Key::new("list");
    assert_two_die("dies", |n, cx| {
        cx.merge(LIST, Append::one(Brittle(is_deadly(n))));
        assert!(!is_deadly(n), "dies");
        Ok(())
    });
}

/// A value that can be merged with others of its task alone.
#[derive(Serialize, Deserialize)]
struct Own(u64);

impl Merge for Own {
    fn merge(&mut self, other: Self) {
        assert_eq!(self.0, other.0, "a value of another task");
    }
}

const OWN: Key<Own> = Key::new("own");

/// The merges of finished tasks cannot be joined, which is seen when one of them takes the lock, or
/// merges: then there is no right answer any more, and no reason to go on.
#[test]
fn merges_of_finished_tasks_that_cannot_be_joined_stop_the_run() {
    for setting in Setting::all(&[1, 3]) {
        for locks in [true, false] {
            let ran = AtomicU64::new(0);
            let stuck = program_with_end(
                |cx| {
                    cx.post(Number(0));
                    Ok(())
                },
                |&Number(n), cx| {
                    assert!(n < 1000, "it was not stopped");
                    ran.fetch_add(1, Ordering::SeqCst);
                    cx.post(Number(n + 1));
                    cx.merge(OWN, Own(n));
                    if locks {
                        cx.lock().get_ref(OWN);
                    }
                    Ok(())
                },
                |_| unreachable!("end must not see what is not whole"),
            );
            let run = setting.runner(stuck).tolerate_dead(true).start();
            let error = run.expect_err("the entry is not whole");
            assert!(error.is_dict() && error.to_string().contains("not complete: own"), "{error}");
            let ledger = error.report().expect("there was a run").ledger();
            assert_eq!(ledger.posted, ledger.finished + ledger.dead + ledger.left);
            assert!(ran.into_inner() < 10, "the run is stopped at once");
        }
    }
}

/// `begin` merges what cannot be joined with what it has flushed.
#[test]
fn a_merge_that_panics_as_begin_ends() {
    for setting in Setting::all(&[1, 3]) {
        let begins = program_with_end(
            |cx| {
                cx.merge(OWN, Own(0));
                cx.post_all([Number(0), Number(1)]);
                cx.flush();
                cx.merge(OWN, Own(1));
                Ok(())
            },
            |_, _| Ok(()),
            |_| unreachable!("begin failed"),
        );
        let error: Error = setting.runner(begins).start().expect_err("begin fails");
        assert!(
            error.is_begin() && error.to_string().contains("a value of another task"),
            "{error}"
        );
        let ledger = error.report().expect("there was a run").ledger();
        assert_eq!((ledger.posted, ledger.finished + ledger.left), (2, 2));
    }
}
