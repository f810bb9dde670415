//! A program may catch the panics of its own code inside a handler and go on posting: every task is there
//! once and is dropped once, whatever has panicked. `ci/miri` runs these, too.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::{AtomicBool, Ordering},
};

use prunner::{Context, Error, Key, Labeled, Merge, Priority, Report};
use prunner_tests::{
    census::{Census, Citizen},
    program::program,
    scale::times,
    setting::Setting,
};
use serde::{Deserialize, Serialize};

prunner_tests::watched!();

/// A value that cannot be merged with another. It panics without a word: there are many.
#[derive(Serialize, Deserialize)]
struct Lone;

impl Merge for Lone {
    fn merge(&mut self, _: Self) {
        resume_unwind(Box::new("two are too many"));
    }
}

const LONE: Key<Lone> = Key::new("lone");

#[derive(Labeled)]
struct Person(Box<Citizen>);

/// Under Miri everything takes a thousand times as long.
fn settings() -> impl Iterator<Item = Setting> {
    Setting::all(if cfg!(miri) { &[1] } else { &[1, 3] })
}

/// Posts people, and goes on when that panics.
struct Reckless<'a, 'b> {
    census: &'a Census,
    cx: &'a mut Context<'b, Person>,
}

impl Reckless<'_, '_> {
    fn person(&self) -> Person {
        Person(Box::new(self.census.birth()))
    }

    fn caught(&mut self, deed: impl FnOnce(&mut Self)) {
        let _ = catch_unwind(AssertUnwindSafe(|| deed(self)));
    }

    fn post(&mut self) {
        let person = self.person();
        self.cx.post(person);
    }

    fn post_with(&mut self, priority: Priority) {
        let person = self.person();
        self.cx.post_with(priority, person);
    }

    /// Posts all at once, from an iterator that panics in the end.
    fn post_all(&mut self) {
        let census = self.census;
        let people = (0..100).map(|number| match number {
            99 => resume_unwind(Box::new("no more people")),
            _ => Person(Box::new(census.birth())),
        });
        self.cx.post_all(people);
    }

    /// Lets each way to post meet a merge that panics, and then posts more than there is room for.
    fn post_in_all_ways(&mut self) {
        let ways: [fn(&mut Self); 6] = [
            |it| it.cx.flush(),
            |it| it.post(),
            |it| it.post_with(Priority::High),
            |it| it.post_with(Priority::Normal),
            |it| it.post_with(Priority::Low),
            |it| it.post_all(),
        ];
        self.post();
        self.post();
        self.caught(|it| it.cx.merge(LONE, Lone));
        self.cx.flush();
        for way in ways {
            self.caught(|it| it.cx.merge(LONE, Lone));
            self.caught(way);
            for _ in 0..times("PRUNNER_CAUGHT_POSTS", 300) {
                self.caught(Self::post);
            }
        }
    }
}

/// Nothing was lost, whatever has panicked while it was posted.
#[track_caller]
fn assert_whole(census: &Census, run: Result<Report, Error>) {
    let error = run.expect_err("the entry has lost what could not be merged");
    assert!(error.is_dict() && error.to_string().contains("lone"), "{error}");
    let ledger = error.report().expect("there was a run").ledger();
    assert_eq!(ledger.posted, ledger.finished + ledger.dead + ledger.left);
    assert_eq!(ledger.posted, census.born() as u64);
    drop(error);
    census.assert_all_dropped_once();
}

#[test]
fn posts_of_begin_go_on_after_a_caught_panic() {
    for setting in settings() {
        let census = Census::new();
        let begins = program(
            |cx| {
                Reckless { census: &census, cx }.post_in_all_ways();
                Ok(())
            },
            |_: &Person, _| Ok(()),
        );
        assert_whole(&census, setting.runner(begins).start());
    }
}

#[test]
fn posts_of_a_handler_go_on_after_a_caught_panic() {
    for setting in settings() {
        let census = Census::new();
        let first = AtomicBool::new(true);
        let handles = program(
            |cx| {
                Reckless { census: &census, cx }.post();
                Ok(())
            },
            |_: &Person, cx| {
                if first.swap(false, Ordering::SeqCst) {
                    let mut reckless = Reckless { census: &census, cx };
                    reckless.post_in_all_ways();
                    reckless.caught(|it| it.cx.merge(LONE, Lone));
                    reckless.caught(|it| it.cx.flush());
                }
                Ok(())
            },
        );
        assert_whole(&census, setting.runner(handles).start());
    }
}

/// The handler fails in the end: what it has posted is dropped once, too.
#[test]
fn posts_after_a_caught_panic_are_dropped_with_their_handler() {
    for setting in settings() {
        let census = Census::new();
        let fails = program(
            |cx| {
                Reckless { census: &census, cx }.post();
                Ok(())
            },
            |_: &Person, cx| {
                let mut reckless = Reckless { census: &census, cx };
                reckless.caught(Reckless::post_all);
                reckless.post_with(Priority::High);
                Err("fails after all".into())
            },
        );
        let run = setting.runner(fails).tolerate_dead(true).start();
        let ledger = run.expect("the dead are tolerated").ledger();
        assert_eq!((ledger.posted, ledger.dead, ledger.left), (1, 1, 0));
        census.assert_all_dropped_once();
    }
}
