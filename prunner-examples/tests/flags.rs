//! The flags that all examples have: each does what its help says.

mod program;

use std::process::Command;

use program::{run, run_alone};
use prunner_tests::process::Process;

prunner_tests::watched!();

const PROBE: &str = env!("CARGO_BIN_EXE_probe");

fn words(flags: &str) -> impl Iterator<Item = &str> {
    flags.split(' ')
}

/// A limit below what a task uses, and one above it: they are in MiB.
#[test]
fn max_memory_is_in_mib() {
    let enough = run_alone(PROBE, words("--processes -n 1 --max-memory 512 --eat 256"));
    assert_eq!(enough.code, Some(0), "{enough:?}");
    let less = run_alone(PROBE, words("--processes -n 1 --max-memory 64 --eat 256"));
    assert_eq!(less.code, Some(1), "{less:?}");
    assert!(less.stderr.contains("more memory than max_memory allows"), "{less:?}");
}

#[test]
fn prefix_output_names_the_worker_of_each_line() {
    let prefixed = run_alone(PROBE, words("--processes -n 1 --prefix-output --lines 3"));
    let lines = |prefix: &str| (0..3).map(|n| format!("{prefix}line {n}")).collect::<Vec<_>>();
    let printed = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(String::from).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!((prefixed.code, printed(&prefixed.stdout)), (Some(0), lines("[0] ")));
    let plain = run_alone(PROBE, words("--processes -n 1 --lines 3"));
    assert_eq!((plain.code, printed(&plain.stdout)), (Some(0), lines("")));
}

#[test]
fn workers_are_as_many_as_asked_for() {
    for workers in ["1", "3", "7"] {
        let finished = run(PROBE, ["-n", workers, "--together", workers]);
        assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished:?}");
    }
}

/// Tasks of one process that wait for each other.
#[test]
fn threads_are_those_of_each_process() {
    let finished = run_alone(PROBE, words("--processes -n 1 --threads 3 --together 3"));
    assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished:?}");
}

#[test]
fn ctrl_c_ends_a_run_and_its_report_says_so() {
    for flags in ["-n 2", "-n 2 --processes"] {
        let mut command = Command::new(PROBE);
        command.args(words(flags)).arg("--for-ever").env_remove("RUST_LOG");
        let mut program = Process::start(&mut command);
        program.wait_for_line("started");
        program.interrupt();
        let ended = program.end();
        assert_eq!(ended.status.code(), Some(130), "{flags}: {ended:?}");
        assert!(ended.errors.contains("error: interrupted: "), "{flags}: {ended:?}");
    }
}
