//! A parent that is killed takes its workers with it; programs that handlers start are no workers.

use std::time::Duration;

use prunner_tests::{meeting::Meeting, offspring};

use super::{Family, MARK, alone, assert_none_left, signal};

/// Far more than it takes: the parent of these workers is gone.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn workers_do_not_outlive_a_parent_that_is_killed() {
    let _alone = alone();
    let meeting = Meeting::new();
    let address = meeting.invitation();
    let family = Family::start("meet", &[address.address(), "4", "8"]);
    let guests: Vec<_> = (0..4).map(|_| meeting.next()).collect();
    assert_eq!(offspring::marked(MARK, &family.mark).len(), 5);
    signal(family.process.pid(), libc::SIGKILL);
    assert_none_left(&family.mark, SOON);
    drop(guests);
}

/// Not even one that is stopped when it happens, and can read nothing.
#[test]
fn a_stopped_worker_does_not_outlive_its_parent() {
    let _alone = alone();
    let meeting = Meeting::new();
    let address = meeting.invitation();
    let family = Family::start("meet", &[address.address(), "1", "1"]);
    let guest = meeting.next();
    signal(guest.pid, libc::SIGSTOP);
    signal(family.process.pid(), libc::SIGKILL);
    assert_none_left(&family.mark, SOON);
}

#[track_caller]
fn assert_starts_a_program(scene: &str) {
    let _alone = alone();
    let ended = Family::start(scene, &[""]).end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.output.contains("started: main\nwell: posted 10 = "), "{ended:?}");
    assert!(ended.output.contains("sum 45"), "{ended:?}");
}

/// It inherits the variable by which a worker knows what it is.
#[test]
fn a_program_that_a_handler_starts_is_not_a_worker() {
    assert_starts_a_program("start");
}

/// As under a server that hands its connections on: a socket, but not that of the worker.
#[test]
fn a_program_that_a_handler_starts_with_a_socket_is_not_a_worker() {
    assert_starts_a_program("start at socket");
}
