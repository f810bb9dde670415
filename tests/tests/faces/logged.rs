//! A failure is logged once, the first ten of a kind in full.

use prunner::{post_task, task};

use super::{Engine, log_lines, report};

#[task]
fn each_fails(n: u64) -> Result<(), String> {
    Err(format!("line {n} is bad"))
}

#[task]
fn some_panic(n: u64) -> Result<(), String> {
    assert!(!n.is_multiple_of(2), "{n} is even");
    Err(format!("{n} is odd"))
}

#[test]
fn the_first_ten_of_a_kind_are_logged_and_the_others_counted() {
    log_lines::keep();
    for engine in Engine::all() {
        let error = engine.fails(|| {
            (0..5000).for_each(|n| post_task(each_fails, n));
            (0..12).for_each(|n| post_task(some_panic, n));
        });
        let lines = log_lines::take("each_fails");
        let (more, full): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contains("more"));
        assert_eq!(full.len(), 10, "{engine:?}: {full:#?}");
        assert!(
            full.iter().all(|line| line.starts_with("ERROR: task died on worker ")),
            "{full:#?}"
        );
        assert!(full.iter().all(|line| line.ends_with(" is bad")), "{full:#?}");
        assert_eq!(more.len(), 1, "{engine:?}: {more:#?}");
        let start = "ERROR: ... and 4990 more tasks died like it: logged::each_fails: line ";
        assert!(more[0].starts_with(start), "{more:#?}");
        assert_eq!(log_lines::take("some_panic").len(), 12, "{engine:?}: two kinds of six each");
        assert_eq!(report(&error).ledger().dead, 5012);
    }
}

/// What cannot be written as bytes dies where it is posted.
#[test]
fn tasks_that_cannot_be_posted_are_logged_once() {
    log_lines::keep();
    for engine in [Engine::Processes(1, 1), Engine::Processes(3, 1)] {
        let error = engine.fails(|| (0..30).for_each(|_| post_task(refuses, Refuses)));
        let lines = log_lines::take("refuses");
        assert_eq!(lines.len(), 11, "{engine:?}: {lines:#?}");
        assert!(lines[0].starts_with("ERROR: task died as it was posted: "), "{lines:#?}");
        assert!(lines[10].contains("and 20 more tasks died like it"), "{lines:#?}");
        assert_eq!(report(&error).ledger().dead, 30);
    }
}

#[task]
fn refuses(_: Refuses) {}

#[derive(Clone)]
pub(crate) struct Refuses;

impl serde::Serialize for Refuses {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

impl<'de> serde::Deserialize<'de> for Refuses {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("never"))
    }
}
