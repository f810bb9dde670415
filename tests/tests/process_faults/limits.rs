//! Tasks that kill their workers: dead after the third time alone, and nobody else with them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prunner::{Failure, Report, Runner};
use prunner_tests::{
    deeds::{Deed, Deeds, Program, SUM},
    gate::Gate,
    meeting::{Guest, Meeting},
};

use super::{Host, going, start};

/// Runs a deed that kills its worker, among a hundred that do no harm. Returns the report and how often
/// the deed was started.
fn run_with_killer(
    killer: Deed,
    set: impl FnOnce(Runner<Program>) -> Runner<Program>,
) -> (Report, usize) {
    let meeting = Meeting::new();
    let deeds = (0..50).map(Deed::Add).chain([killer]).chain((50..100).map(Deed::Add));
    let attempts = Arc::new(AtomicUsize::new(0));
    let host = Host::of(meeting, {
        let attempts = Arc::clone(&attempts);
        move |guest| {
            attempts.fetch_add(1, Ordering::SeqCst);
            guest.let_go();
        }
    });
    let report = going(&host.invitation, deeds, |it| set(it.workers(2))).dead();
    host.end();
    (report, attempts.load(Ordering::SeqCst))
}

/// The failure of the only task that died.
#[track_caller]
fn assert_died_alone(report: &Report, attempts: usize) -> &Failure {
    let ledger = report.ledger();
    assert_eq!((ledger.posted, ledger.finished, ledger.dead), (101, 100, 1), "{report}");
    assert_eq!(report.dict().get(SUM).map(|sum| sum.0), Some(4950));
    assert_eq!(report.failures().len(), 1);
    let failure = &report.failures()[0];
    let label = report.label(failure.label()).expect("it is counted under its label");
    assert_eq!((label.finished(), label.dead()), (0, 1));
    assert!(failure.message().starts_with("killed its worker 3 times: "), "{failure}");
    // More if it was taken for innocent: a worker that dies before the parent has read its last commit
    // is charged to the tasks of that commit.
    assert!(attempts >= ATTEMPTS, "{attempts} attempts");
    failure
}

/// How often a task that kills its workers is started: once as any other, and three times alone.
const ATTEMPTS: usize = 4;

/// The others come when it is dead.
#[test]
fn a_task_that_kills_its_workers_is_started_four_times() {
    let meeting = Meeting::new();
    let attempts = Arc::new(Gate::new());
    let program = Program::new(Deeds::at(&meeting.invitation()), {
        let attempts = Arc::clone(&attempts);
        move |cx| {
            cx.post(Deed::Abort(7));
            cx.flush();
            attempts.wait_for(ATTEMPTS as u64);
            cx.post_all((0..100).map(Deed::Add));
            Ok(())
        }
    });
    let host = Host::of(meeting, {
        let attempts = Arc::clone(&attempts);
        move |guest| {
            attempts.arrive();
            guest.let_go();
        }
    });
    let report = start(Runner::new(program).workers(2).processes()).dead();
    host.end();
    assert_died_alone(&report, attempts.arrived() as usize);
    assert_eq!(attempts.arrived(), ATTEMPTS as u64);
}

#[test]
fn a_task_that_aborts_is_dead_after_three_workers() {
    let (report, attempts) = run_with_killer(Deed::Abort(7), |it| it);
    let failure = assert_died_alone(&report, attempts);
    assert_eq!((failure.label(), failure.data()), ("Abort", Some("(7)")));
    assert!(failure.message().contains("SIGABRT"), "{failure}");
}

#[test]
fn a_task_that_eats_too_much_memory_is_dead() {
    let (report, attempts) = run_with_killer(Deed::Eat(1024), |it| it.max_memory(256 << 20));
    let failure = assert_died_alone(&report, attempts);
    assert_eq!((failure.label(), failure.data()), ("Eat", Some("(1024)")));
    assert!(
        failure.message().contains("SIGABRT: it aborted, perhaps because it asked for more memory"),
        "{failure}"
    );
}

#[test]
fn a_task_that_computes_for_ever_is_dead() {
    let limit = Duration::from_secs(1);
    let (report, attempts) = run_with_killer(Deed::Spin(1), |it| it.max_cpu_time(limit));
    let failure = assert_died_alone(&report, attempts);
    assert_eq!(failure.label(), "Spin");
    assert!(failure.message().contains("SIGXCPU"), "{failure}");
}

#[test]
fn a_task_that_waits_for_ever_is_dead() {
    let limit = Duration::from_millis(300);
    let (report, attempts) = run_with_killer(Deed::Sleep(1), |it| it.max_task_time(limit));
    let failure = assert_died_alone(&report, attempts);
    assert_eq!(failure.label(), "Sleep");
    let (message, why) = (failure.message(), "longer than max_task_time allows (300ms)");
    assert!(message.contains("Sleep ran for") && message.contains(why), "{failure}");
}

#[test]
fn a_task_that_overflows_its_stack_is_dead() {
    let (report, attempts) = run_with_killer(Deed::Sink(1), |it| it);
    let failure = assert_died_alone(&report, attempts);
    assert_eq!(failure.label(), "Sink");
    let message = failure.message();
    assert!(message.contains("SIGABRT") || message.contains("SIGSEGV"), "{failure}");
}

/// Limits that are not exceeded change nothing.
#[test]
fn within_its_limits_a_run_ends_well() {
    let meeting = Meeting::new();
    let run = going(&meeting.invitation(), (0..1000).map(Deed::Add), |it| {
        let it = it.workers(2).max_memory(512 << 20).max_cpu_time(Duration::from_secs(30));
        it.max_task_time(Duration::from_secs(30))
    });
    assert_eq!(run.well().dict().get(SUM).map(|sum| sum.0), Some(999 * 500));
}

/// What runs on other threads of the process has done no harm.
#[test]
fn a_task_that_aborts_takes_nobody_along_on_other_threads() {
    let deeds = [Deed::Abort(0)].into_iter().chain([300; 3].map(Deed::Work));
    let host = Host::of(Meeting::new(), Guest::let_go);
    let run = going(&host.invitation, deeds, |it| it.workers(1).threads(4));
    let report = run.dead();
    host.end();
    let ledger = report.ledger();
    assert_eq!((ledger.finished, ledger.dead), (3, 1), "{report}");
}
