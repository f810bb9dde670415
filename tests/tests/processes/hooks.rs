//! `begin` and `end`: how much is posted and when it starts, and what happens when they fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use prunner::{Context, Error, Key, Labeled, Ledger, Sum, TaskResult};
use prunner_tests::{
    handler,
    meeting::{Invitation, Meeting},
    travelling::{Handler, Travelling},
};
use serde::{Deserialize, Serialize};

use super::{Setting, run};

const SUM: Key<Sum<u64>> = Key::new("sum");

#[derive(Labeled, Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Number(u64);

handler!(Adds: Number, |&Number(n), cx| {
    cx.merge(SUM, Sum(n));
    Ok(())
});

#[test]
fn no_task_at_all_is_a_run_too() -> Result<(), Error> {
    for setting in Setting::all() {
        let ends = Arc::new(AtomicU64::new(0));
        let nothing = Travelling::of(Adds, []).with_end({
            let ends = Arc::clone(&ends);
            move |dict| {
                assert!(dict.is_empty());
                ends.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        });
        let report = setting.start(nothing)?;
        assert_eq!((report.ledger(), ends.load(Ordering::SeqCst)), (Ledger::default(), 1));
        assert_eq!(report.workers_started(), 0, "nobody is needed");
    }
    Ok(())
}

#[test]
fn begin_posts_a_hundred_thousand_tasks() -> Result<(), Error> {
    const TASKS: u64 = 100_000;
    for workers in [1, 3] {
        let one_by_one = Travelling::new(Adds, |cx| {
            (0..TASKS).for_each(|n| cx.post(Number(n)));
            Ok(())
        });
        let all_at_once = Travelling::of(Adds, (0..TASKS).map(Number));
        for program in [one_by_one, all_at_once] {
            let report = run(workers, program)?;
            assert_eq!(report.dict().get(SUM), Some(Sum(TASKS * (TASKS - 1) / 2)));
            assert_eq!(report.ledger().finished, TASKS);
        }
    }
    Ok(())
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Meets(Invitation);

impl Handler for Meets {
    type Task = Number;

    fn run(&self, &Number(n): &Number, cx: &mut Context<'_, Number>) -> TaskResult {
        self.0.meet(&n.to_string());
        cx.merge(SUM, Sum(n));
        Ok(())
    }
}

/// `begin` goes on only when what it has flushed runs.
#[test]
fn a_flush_in_begin_starts_what_was_posted() -> Result<(), Error> {
    let meeting = Arc::new(Meeting::new());
    let program = Travelling::new(Meets(meeting.invitation()), {
        let meeting = Arc::clone(&meeting);
        move |cx| {
            for n in 0..10 {
                cx.post(Number(n));
                cx.flush();
                let guest = meeting.next();
                assert_eq!(guest.text, n.to_string());
                guest.let_go();
            }
            Ok(())
        }
    });
    assert_eq!(run(2, program)?.dict().get(SUM), Some(Sum(45)));
    Ok(())
}

/// Posts are published as they come; only the very first waits for the second.
#[test]
fn tasks_start_while_begin_still_posts() -> Result<(), Error> {
    let meeting = Arc::new(Meeting::new());
    let program = Travelling::new(Meets(meeting.invitation()), {
        let meeting = Arc::clone(&meeting);
        move |cx| {
            (1..=3).for_each(|n| cx.post(Number(n)));
            let first = meeting.next();
            first.let_go();
            let meeting = Arc::clone(&meeting);
            thread::spawn(move || (0..2).for_each(|_| meeting.next().let_go()));
            Ok(())
        }
    });
    assert_eq!(run(1, program)?.dict().get(SUM), Some(Sum(6)));
    Ok(())
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Publishes(Invitation);

impl Handler for Publishes {
    type Task = Number;

    fn run(&self, &Number(n): &Number, cx: &mut Context<'_, Number>) -> TaskResult {
        cx.merge(SUM, Sum(1));
        if n == 0 {
            cx.post(Number(1));
            cx.flush();
        }
        self.0.meet(&n.to_string());
        Ok(())
    }
}

/// The other worker runs what the first has flushed while that one is still in its handler.
#[test]
fn a_flush_in_a_handler_starts_what_was_posted() -> Result<(), Error> {
    let meeting = Meeting::new();
    let program = Travelling::of(Publishes(meeting.invitation()), [Number(0)]);
    let host = thread::spawn(move || {
        let guests = [meeting.next(), meeting.next()];
        assert_ne!(guests[0].pid, guests[1].pid);
        guests.into_iter().for_each(|guest| guest.let_go());
    });
    let report = run(2, program)?;
    host.join().expect("both have come");
    assert_eq!(report.dict().get(SUM), Some(Sum(2)));
    assert_eq!(report.ledger().finished, 2);
    Ok(())
}

/// The two ways in which a hook fails.
const WAYS: [fn() -> TaskResult; 2] =
    [|| Err("there is no input".into()), || panic!("there is no input")];

#[test]
fn a_begin_that_fails_is_told() {
    for fail in WAYS {
        for posts in [0, 1, 1000] {
            let broken = Travelling::new(Adds, move |cx| {
                (0..posts).for_each(|n| cx.post(Number(n)));
                fail()
            });
            let broken = broken.with_end(|_| panic!("end was run"));
            let error = run(2, broken).expect_err("begin fails");
            assert!(error.is_begin() && error.exit_code() == 1);
            let text = error.to_string();
            assert!(text.starts_with("begin failed, so end was not run: "), "{text}");
            assert!(text.contains("there is no input"), "{text}");
            let ledger = error.report().expect("there was a run").ledger();
            assert!(ledger.posted <= posts, "{ledger}");
            assert_eq!(ledger.posted, ledger.finished + ledger.left, "{ledger}");
        }
    }
}

#[test]
fn an_end_that_fails_is_told_with_the_whole_report() {
    for fail in WAYS {
        let broken = Travelling::of(Adds, (0..100).map(Number)).with_end(move |dict| {
            assert_eq!(dict.get(SUM), Some(Sum(4950)));
            fail()
        });
        let error = run(2, broken).expect_err("end fails");
        assert!(error.is_end(), "{error}");
        assert!(error.to_string().contains("there is no input"), "{error}");
        let report = error.report().expect("there was a run");
        assert_eq!(report.ledger().finished, 100);
        assert_eq!(report.dict().get(SUM), Some(Sum(4950)));
    }
}

/// A task of [`Adds`].
pub(crate) fn number(n: u64) -> Number {
    Number(n)
}
