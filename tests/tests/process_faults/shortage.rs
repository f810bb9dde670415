//! Workers that cannot be had: with fewer the run goes on, with none it says why.

use std::process::Command;

use prunner_tests::{
    limits::with_large_stacks,
    meeting::{Guest, Meeting},
    process::Ended,
};

use super::{Family, Host, SCENES, alone};

fn ended(scene: &str, arguments: &[&str]) -> Ended {
    let _alone = alone();
    Family::start(scene, &[&[""], arguments].concat()).end()
}

#[track_caller]
fn assert_well(ended: &Ended) {
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let well = "\nwell: posted 1000 = finished 1000 + dead 0; sum 499500\n";
    assert!(ended.output.contains(well), "{ended:?}");
}

/// An error that says `what`, and nobody else was started.
#[track_caller]
fn assert_fails(ended: &Ended, what: &[&str]) {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let error = ended.output.lines().rfind(|it| it.starts_with("error: "));
    let error = error.unwrap_or_else(|| panic!("{ended:?}"));
    for what in what {
        assert!(error.contains(what), "{what}: {ended:?}");
    }
}

#[test]
fn a_run_needs_few_files() {
    let ended = ended("few files", &["32"]);
    assert_well(&ended);
    assert!(!ended.output.contains("WARN: "), "{ended:?}");
}

/// The first workers keep their tasks until one that is missing was noticed: else they might have done
/// everything before.
#[test]
fn a_run_goes_on_with_fewer_workers() {
    let _alone = alone();
    let meeting = Meeting::new();
    let address = meeting.invitation().address().to_string();
    let mut family = Family::start("few files that meet", &[&address, "14"]);
    family.process.wait_for_line("WARN: cannot start worker process ");
    let host = Host::of(meeting, Guest::let_go);
    let ended = family.end();
    host.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.output.contains("\nwell: posted 100 = finished 100 + dead 0; sum 4950\n"));
    assert!(!ended.output.contains("\n10 of 10 workers"), "{ended:?}");
}

/// Root becomes nobody, who has no other processes: the program and its supervisor are all.
#[test]
fn a_run_that_gets_no_worker_at_all_fails() {
    assert_fails(&ended("few processes", &["2"]), &["no worker process can be started"]);
    assert_fails(&ended("few processes", &["1"]), &["cannot start worker processes"]);
}

/// There is a process for each of some workers, and not for all of their threads. If each lacks one
/// because the others have the rest, one of them is tried alone.
#[test]
fn a_run_whose_workers_get_few_threads_goes_on() {
    for limit in ["4", "5", "7", "9"] {
        let ended = ended("few processes", &[limit]);
        assert_well(&ended);
        assert!(!ended.output.contains("has died"), "they end before they are ready: {ended:?}");
        assert!(!ended.output.contains("worker_entry"), "that is not what is wrong: {ended:?}");
    }
}

fn without_threads(arguments: &[&str]) -> Family {
    let mut scenes = Command::new(SCENES);
    Family::of(with_large_stacks(&mut scenes).arg("no threads").args(arguments))
}

/// The other one does all the work, which waits for the test to see the warning.
#[test]
fn a_run_goes_on_without_a_worker_that_gets_no_threads() {
    let _alone = alone();
    let meeting = Meeting::new();
    let address = meeting.invitation().address().to_string();
    let file = format!("{address}-first");
    let mut family = without_threads(&[&address, &file]);
    let warning = family.process.wait_for_line("WARN: cannot start worker process ");
    (0..2).for_each(|_| meeting.next().let_go());
    let ended = family.end();
    assert!(warning.contains(": it cannot start a thread: "), "{warning}");
    assert!(warning.ends_with("; going on with 1 of 2 workers"), "{warning}");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.output.ends_with("sum 1\n1 of 2 workers\n"), "{ended:?}");
    assert_eq!(ended.output.matches("WARN: ").count(), 1, "one warning is enough: {ended:?}");
}

#[test]
fn a_run_none_of_whose_workers_gets_threads_fails() {
    let _alone = alone();
    let ended = without_threads(&[""]).end();
    let what = ["no worker process can be started", "it cannot start a thread: "];
    assert_fails(&ended, &what);
    assert!(!ended.output.contains("worker_entry"), "{ended:?}");
}

/// The program, two workers, and no second generation.
#[track_caller]
fn assert_one_generation(ended: &Ended) {
    let mains = ended.output.lines().filter(|it| *it == "main").count();
    assert!((2..=3).contains(&mains), "{ended:?}");
}

#[test]
fn a_program_without_a_worker_entry_is_told_to_call_it() {
    for scene in ["no entry", "no run", "other entry"] {
        let ended = ended(scene, &[]);
        assert_fails(&ended, &["prunner::worker_entry::<", "before anything else"]);
        assert_one_generation(&ended);
    }
}

/// The worker itself knows which runner it was started for.
#[test]
fn a_worker_of_another_type_names_the_one_that_is_missing() {
    let ended = ended("other entry", &[]);
    assert!(ended.output.contains("Travelling<prunner_tests::deeds::Deeds>"), "{ended:?}");
}
