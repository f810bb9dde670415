//! Runs that cannot go on: they end, whatever waits in them, and say why.

use std::{mem, sync::Arc, thread};

use prunner::{Context, Key, Labeled, Runner, Sum, TaskResult};
use prunner_tests::{
    gate::{Gate, PATIENCE},
    handler,
    meeting::{Guest, Invitation, Meeting},
    travelling::{Handler, Travelling},
    watchdog::Watchdog,
};
use serde::{Deserialize, Serialize};

use super::{Family, alone, signal};

const SMALL: Key<Sum<u8>> = Key::new("small");
const COUNT: Key<u64> = Key::new("count");

#[derive(Labeled, Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Number(u64);

handler!(Spoils: Number, |&Number(_), cx| {
    cx.merge(SMALL, Sum(1));
    *cx.lock().entry(COUNT).or_default() += 1;
    Ok(())
});

handler!(Leaks: Number, |&Number(n), cx| {
    let mut lock = cx.lock();
    *lock.entry(COUNT).or_default() += 1;
    if n == 20 {
        mem::forget(lock);
    }
    Ok(())
});

/// The error of a run of 400 numbers that breaks the dict.
fn broken<H: Handler<Task = Number>>(handler: H, workers: usize, threads: usize) -> String {
    let _alone = alone();
    let _watchdog = Watchdog::after(PATIENCE, "a run whose dict is not whole");
    let program = Travelling::of(handler, (0..400).map(Number));
    let program = program.with_end(|_| panic!("end was run"));
    let run = Runner::new(program).workers(workers).processes().threads(threads).start();
    let error = run.expect_err("the dict is not whole");
    assert!(error.is_dict(), "{error}");
    error.to_string()
}

const SETTINGS: [(usize, usize); 4] = [(1, 1), (2, 4), (8, 1), (1, 4)];

#[test]
fn a_merge_that_panics_ends_the_run_while_others_use_the_lock() {
    for (workers, threads) in SETTINGS {
        let error = broken(Spoils, workers, threads);
        assert!(error.contains("small"), "{workers} workers of {threads} threads: {error}");
    }
}

#[test]
fn a_lock_that_is_never_given_back_ends_the_run() {
    for (workers, threads) in SETTINGS {
        let error = broken(Leaks, workers, threads);
        assert!(error.contains("lock"), "{workers} workers of {threads} threads: {error}");
    }
}

/// What was merged and flushed under the lock is not committed before `begin` ends.
#[test]
fn a_merge_that_panics_as_begin_ends_is_its_failure() {
    for (workers, threads) in SETTINGS {
        let _alone = alone();
        let _watchdog = Watchdog::after(PATIENCE, "a run whose begin has failed");
        let program = Travelling::new(Spoils, |cx| {
            let lock = cx.lock();
            cx.merge(SMALL, Sum(200));
            cx.flush();
            drop(lock);
            cx.merge(SMALL, Sum(200));
            Ok(())
        });
        let run = Runner::new(program).workers(workers).processes().threads(threads).start();
        let error = run.expect_err("begin fails");
        assert!(error.is_begin(), "{error}");
    }
}

/// Meets the test: the first number while it holds the lock and has read an entry under it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holds(Invitation);

const READ: Key<Sum<u64>> = Key::new("read");

impl Handler for Holds {
    type Task = Number;

    fn run(&self, &Number(n): &Number, cx: &mut Context<'_, Number>) -> TaskResult {
        if n > 1 {
            self.0.meet("no lock");
            return Ok(());
        }
        let mut lock = cx.lock();
        assert!(lock.get(READ).is_none());
        self.0.meet("lock");
        drop(lock);
        Ok(())
    }
}

/// A handler holds the lock and never returns, and `begin` waits for the lock, or for its commit of what
/// the handler has read, when the workers are given up.
#[test]
fn a_run_that_has_failed_waits_neither_for_begin_nor_for_handlers() {
    for wants_lock in [true, false] {
        let _alone = alone();
        let _watchdog = Watchdog::after(PATIENCE, "a run that has failed");
        let meeting = Meeting::new();
        let is_held = Arc::new(Gate::new());
        let told = Arc::clone(&is_held);
        let program = Travelling::new(Holds(meeting.invitation()), move |cx| {
            cx.post(Number(1));
            cx.flush();
            told.wait_for(1);
            cx.post(Number(2));
            cx.flush();
            if wants_lock {
                cx.lock().insert(COUNT, 1);
                unreachable!("the lock is never free");
            }
            cx.merge(READ, Sum(1));
            Ok(())
        });
        let run = Runner::new(program).workers(2).processes().max_deaths(0);
        let run = thread::spawn(|| run.start());
        let holder = meeting.next();
        is_held.arrive();
        let victim = meeting.next();
        assert_eq!((&*holder.text, &*victim.text), ("lock", "no lock"));
        signal(victim.pid, libc::SIGKILL);
        let error = run.join().expect("start does not panic").expect_err("no worker may die");
        assert!(error.is_workers(), "{error}");
        let text = error.to_string();
        assert!(text.contains("1 worker processes have died"), "{text}");
        assert!(text.contains("Runner::max_deaths"), "{text}");
    }
}

/// The limit of open files is lowered below the number of those that are waited for.
#[test]
fn a_wait_that_fails_ends_the_run() {
    let _alone = alone();
    let meeting = Meeting::new();
    let family = Family::start("poll fails", &[meeting.invitation().address()]);
    let (begin, handlers): (Vec<_>, Vec<_>) =
        (0..3).map(|_| meeting.next()).partition(|guest| guest.text == "begin");
    begin.into_iter().for_each(Guest::let_go);
    let ended = family.end();
    drop(handlers);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.output.contains("cannot wait for the worker processes: "), "{ended:?}");
}
