//! Workers that do not become ready: each reason is named, with its cure.

use prunner_tests::{meeting::Meeting, process::Ended, scratch::Scratch};

use super::{Family, alone};

#[track_caller]
fn assert_fails(ended: &Ended, says: &[&str], says_not: &[&str]) {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let error = ended.output.lines().rfind(|it| it.starts_with("error: "));
    let error = error.unwrap_or_else(|| panic!("{ended:?}"));
    says.iter().for_each(|text| assert!(error.contains(text), "{text}: {error}"));
    says_not.iter().for_each(|text| assert!(!error.contains(text), "{text}: {error}"));
}

#[test]
fn a_worker_that_comes_to_no_entry_in_time_names_both_reasons() {
    let _alone = alone();
    let meeting = Meeting::new();
    let family = Family::start("slow start", &[meeting.invitation().address(), "300"]);
    let guest = meeting.next();
    let ended = family.end();
    drop(guest);
    assert_fails(&ended, &["not ready after 300ms", "worker_entry", "start_timeout"], &[]);
}

#[test]
fn a_worker_may_take_long_to_start() {
    let _alone = alone();
    let meeting = Meeting::new();
    let family = Family::start("slow start", &[meeting.invitation().address(), "3600000"]);
    meeting.next().let_go();
    let ended = family.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[test]
fn a_worker_that_crashes_before_it_is_ready_is_not_told_to_call_its_entry() {
    let _alone = alone();
    let ended = Family::start("crashes at start", &[""]).end();
    assert_fails(&ended, &["before it was ready", "SIGABRT"], &["worker_entry", "memory"]);
}

#[test]
fn a_single_crash_before_a_worker_is_ready_ends_nothing() {
    let _alone = alone();
    let scratch = Scratch::new();
    let file = scratch.path().join("crashed").to_string_lossy().into_owned();
    let ended = Family::start("crashes at start", &["", &file]).end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(ended.output.matches("before it was ready").count(), 1, "{ended:?}");
    assert!(!ended.output.contains("going on with"), "{ended:?}");
}

#[test]
fn a_limit_of_memory_under_which_no_worker_can_begin_is_named() {
    let _alone = alone();
    let ended = Family::start("little memory", &[""]).end();
    assert_fails(&ended, &["max_memory(4096)"], &["worker_entry"]);
}
