//! The programs in `prunner/examples`, with what they print.

mod program;

use std::fs;

use program::{run, run_alone};

prunner_tests::watched!();

/// Runs a program that must end well, and returns what it prints.
fn output(program: &str, args: &[&str]) -> String {
    let finished = run(program, args);
    assert_eq!(finished.code, Some(0), "{program} {args:?}: {finished:?}");
    assert_eq!(finished.stderr, "", "{program} {args:?}");
    finished.stdout
}

#[test]
fn merge_prints_the_sum() {
    let squares: u64 = (1..=1000_u64).map(|n| n * n).sum();
    assert_eq!(output(env!("CARGO_BIN_EXE_example_merge"), &[]), format!("{squares}\n"));
}

#[test]
fn word_counter_counts_all_files_below_a_directory() {
    let root = tempfile::tempdir().expect("there is room for a directory");
    let inner = root.path().join("a/b");
    fs::create_dir_all(&inner).expect("there is room for directories");
    fs::write(root.path().join("one"), "To be, or not to be").expect("there is room for files");
    fs::write(inner.join("two"), "be\n2 be").expect("there is room for files");
    let path = root.path().to_str().expect("the name is UTF-8");
    let expected = "     4 be\n     2 to\n     1 not\n     1 or\n8 words in 2 files\n";
    assert_eq!(output(env!("CARGO_BIN_EXE_example_word_counter"), &[path]), expected);
}

#[test]
fn word_counter_fails_where_there_is_no_directory() {
    let finished = run(env!("CARGO_BIN_EXE_example_word_counter"), ["/nowhere/at/all"]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(finished.stdout, "0 words in 0 files\n", "{finished:?}");
    assert!(finished.stderr.contains("1 of 1 tasks died"), "{finished:?}");
}

#[test]
fn workers_lose_nothing_but_the_task_that_aborts() {
    let finished = run_alone(env!("CARGO_BIN_EXE_example_workers"), [""; 0]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let sum: u64 = (1..=100).filter(|&n| n != 13).map(|n| n / 2).sum();
    let expected = format!("sum {sum}\nposted 100 = finished 99 + dead 1\nhalve(13) died\n");
    assert_eq!(finished.stdout, expected, "{finished:?}");
}
