//! Workers that are killed or stopped from outside: others take over, and the sums are exact.

use std::{collections::HashSet, sync::Arc, time::Duration};

use prunner::{Report, Runner};
use prunner_tests::{
    deeds::{Deed, Deeds, LOCKED, Program, SUM},
    gate::Gate,
    meeting::Meeting,
};

use super::{Host, going, signal, start};

#[test]
fn a_worker_that_is_killed_with_the_lock_frees_it_and_leaves_nothing() {
    let meeting = Meeting::new();
    let deeds = (1..=200).map(Deed::Lock).chain([Deed::Hold(1000)]);
    let run = going(&meeting.invitation(), deeds, |it| it.workers(3));
    let first = meeting.next();
    signal(first.pid, libc::SIGKILL);
    let again = meeting.next();
    assert_ne!(again.pid, first.pid);
    assert_eq!(again.text, "1000");
    again.let_go();
    let report = run.well();
    assert_eq!(report.dict().get(LOCKED), Some(200 * 201 / 2 + 1000));
    assert_eq!(report.ledger().finished, 201);
}

#[test]
fn all_workers_may_be_killed_at_once() {
    const WORKERS: usize = 4;
    let meeting = Meeting::new();
    let deeds = (1..=4).map(Deed::Meet).chain((0..500).map(Deed::Add));
    let run = going(&meeting.invitation(), deeds, |it| it.workers(WORKERS));
    let killed: Vec<_> = (0..WORKERS).map(|_| meeting.next()).collect();
    killed.iter().for_each(|guest| signal(guest.pid, libc::SIGKILL));
    for _ in 0..WORKERS {
        let again = meeting.next();
        assert!(killed.iter().all(|guest| guest.pid != again.pid));
        again.let_go();
    }
    let report = run.well();
    assert_eq!(report.dict().get(SUM).map(|sum| sum.0), Some(10 + 499 * 250));
    assert_eq!(report.ledger().finished, 504);
}

/// Each of some tasks kills its worker once, in company or alone.
#[test]
fn no_kill_loses_or_doubles_anything() {
    let meets = (0..20).map(Deed::Meet).chain((20..24).map(Deed::Hold));
    let deeds = meets.chain((0..200).map(Deed::Add)).chain((0..200).map(Deed::Lock));
    let mut killed = HashSet::new();
    let host = Host::of(Meeting::new(), move |guest| match killed.insert(guest.text.clone()) {
        true => signal(guest.pid, libc::SIGKILL),
        false => guest.let_go(),
    });
    let report = going(&host.invitation, deeds, |it| it.workers(3)).well();
    host.end();
    let below = |n: u64| n * (n - 1) / 2;
    assert_eq!(report.dict().get(SUM).map(|sum| sum.0), Some(below(20) + below(200)));
    assert_eq!(report.dict().get(LOCKED), Some(20 + 21 + 22 + 23 + below(200)));
    assert_eq!(report.ledger().finished, 424);
}

/// Kills every worker that comes to the meeting, and counts.
fn executioner() -> (Host, Arc<Gate>) {
    let kills = Arc::new(Gate::new());
    let host = Host::of(Meeting::new(), {
        let kills = Arc::clone(&kills);
        move |guest| {
            signal(guest.pid, libc::SIGKILL);
            kills.arrive();
        }
    });
    (host, kills)
}

/// The task is dead that has killed its workers, so to speak, and no other.
#[track_caller]
fn assert_died_alone(report: &Report) {
    let ledger = report.ledger();
    assert_eq!((ledger.finished, ledger.dead), (100, 1), "{report}");
    assert_eq!(report.dict().get(SUM).map(|sum| sum.0), Some(99 * 50));
    let message = report.failures()[0].message();
    let expected = "its workers were killed from outside or lost their lease 21 times: SIGKILL";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(report.failures()[0].label(), "Sleep");
}

/// A task is not blamed for those who kill its workers. But there is an end to it: the twentieth is the last
/// that it may have.
const MOST_KILLS: u64 = 21;

#[test]
fn a_task_whose_workers_are_killed_each_time_is_dead() {
    let (host, kills) = executioner();
    // The others come when it is dead: a worker that dies before the parent has read its last commit
    // is charged to the tasks of that commit.
    let program = Program::new(Deeds::at(&host.invitation), {
        let kills = Arc::clone(&kills);
        move |cx| {
            cx.post(Deed::Sleep(7));
            cx.flush();
            kills.wait_for(MOST_KILLS);
            cx.post_all((0..100).map(Deed::Add));
            Ok(())
        }
    });
    let report = start(Runner::new(program).workers(2).processes()).dead();
    host.end();
    assert_died_alone(&report);
    assert_eq!(kills.arrived(), MOST_KILLS);
}

#[test]
fn a_task_whose_workers_are_killed_each_time_takes_nobody_along() {
    let (host, kills) = executioner();
    let deeds = (0..100).map(Deed::Add).chain([Deed::Sleep(7)]);
    let report = going(&host.invitation, deeds, |it| it.workers(2)).dead();
    host.end();
    assert_died_alone(&report);
    assert!(kills.arrived() >= MOST_KILLS, "{} kills", kills.arrived());
}

#[test]
fn a_run_whose_workers_are_all_killed_is_an_error() {
    let host = Host::of(Meeting::new(), |guest| signal(guest.pid, libc::SIGKILL));
    // None of so many is dead before the workers are given up, however they are leased.
    let run = going(&host.invitation, (0..30).map(Deed::Sleep), |it| it.workers(1));
    let error = run.end().expect_err("nothing can be done");
    host.end();
    assert!(error.is_workers(), "{error}");
    let text = error.to_string();
    assert!(text.contains("31 worker processes have died one after the other"), "{text}");
    assert!(text.contains("SIGKILL"), "{text}");
}

/// A worker is stopped until another one has taken over, then goes on and commits, too late.
fn stall(first: fn(u64) -> Deed) -> Report {
    let meeting = Meeting::new();
    let go_on = Arc::new(Gate::new());
    let told = Arc::clone(&go_on);
    let program = Program::new(Deeds::at(&meeting.invitation()), move |cx| {
        cx.post(first(1));
        cx.flush();
        told.wait_for(1);
        cx.post(Deed::Meet(10));
        cx.flush();
        told.wait_for(2);
        cx.post_all((0..100).map(Deed::Add));
        Ok(())
    });
    let lease = Duration::from_secs(1);
    let run = start(Runner::new(program).workers(2).processes().lease(lease));
    let stalled = meeting.next();
    signal(stalled.pid, libc::SIGSTOP);
    let successor = meeting.next();
    assert_eq!(successor.text, "1");
    assert_ne!(successor.pid, stalled.pid);

    let pid = stalled.pid;
    signal(pid, libc::SIGCONT);
    stalled.let_go();
    go_on.arrive();
    // The other one is still busy: this comes from the first, whose commit has been answered.
    let next = meeting.next();
    assert_eq!((next.pid, &*next.text), (pid, "10"));
    next.let_go();
    successor.let_go();
    go_on.arrive();
    run.well()
}

#[test]
fn a_worker_that_stalls_commits_in_vain() {
    let report = stall(Deed::Meet);
    assert_eq!(report.dict().get(SUM).map(|sum| sum.0), Some(1 + 10 + 4950));
    assert_eq!(report.ledger().finished, 102);
}

#[test]
fn a_worker_that_stalls_with_the_lock_commits_in_vain() {
    let report = stall(Deed::Hold);
    assert_eq!(report.dict().get(LOCKED), Some(1));
    assert_eq!(report.dict().get(SUM).map(|sum| sum.0), Some(10 + 4950));
    assert_eq!(report.ledger().finished, 102);
}

/// One that is not continued is killed in the end, and the run does not wait for it.
#[test]
fn a_worker_that_stays_stopped_is_replaced() {
    let meeting = Meeting::new();
    let deeds = (1..=2).map(Deed::Meet);
    let lease = Duration::from_millis(300);
    let run = going(&meeting.invitation(), deeds, |it| it.workers(2).lease(lease));
    let stopped = [meeting.next(), meeting.next()];
    stopped.iter().for_each(|guest| signal(guest.pid, libc::SIGSTOP));
    for _ in 0..2 {
        let again = meeting.next();
        assert!(stopped.iter().all(|guest| guest.pid != again.pid));
        again.let_go();
    }
    assert_eq!(run.well().dict().get(SUM).map(|sum| sum.0), Some(3));
}
