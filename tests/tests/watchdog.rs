//! A hang of any test is reported by its program, with what that program was doing.

#![cfg(target_os = "linux")]

use std::{
    env, fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use prunner_tests::offspring;

prunner_tests::watched!();

/// Set in the program whose test shall hang.
const HANG: &str = "PRUNNER_TESTS_HANG";

/// Run by the harness itself it does nothing.
#[test]
fn it_hangs_when_asked_to() {
    if env::var_os(HANG).is_none() {
        return;
    }
    println!("this is captured");
    let sleeper = Command::new("sleep").arg("3600").stdin(Stdio::null()).status();
    panic!("it was to be killed first: {sleeper:?}");
}

/// Runs this program with the test that hangs and so many threads for tests.
fn hang(threads: &str) -> Output {
    let program = env::current_exe().expect("this program has a path");
    let mut program = Command::new(program);
    program.args(["it_hangs_when_asked_to", "--exact", "--test-threads", threads]);
    program.env(HANG, format!("{threads}-{}", std::process::id())).env("PRUNNER_TEST_LIMIT", "1");
    program.output().expect("this program starts")
}

#[test]
fn a_test_that_hangs_is_reported_and_leaves_nothing() {
    for threads in ["1", "2"] {
        let output = hang(threads);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("\nstuck: no test has ended for "), "{errors}");
        assert!(errors.contains("thread ") && errors.contains("\"it_hangs_when_a\""), "{errors}");
        assert!(errors.contains(": sleep 3600\n"), "{errors}");
        let mark = format!("{threads}-{}", std::process::id());
        offspring::assert_gone_within(Duration::from_secs(10), || offspring::marked(HANG, &mark));
    }
}

/// What is in a directory; nothing in one that is not there.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|it| it.expect("it can be listed").path()).collect()
}

/// The sources that cargo makes programs of tests from.
fn programs(tests: &Path) -> Vec<PathBuf> {
    let files = entries(tests).into_iter().map(|it| match it.is_dir() {
        true => it.join("main.rs"),
        false => it,
    });
    files.filter(|it| it.is_file() && it.extension().is_some_and(|it| it == "rs")).collect()
}

#[test]
fn all_programs_of_tests_are_watched() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let packages = entries(&root).into_iter().filter(|it| it.join("Cargo.toml").exists());
    let programs: Vec<_> = packages.flat_map(|it| programs(&it.join("tests"))).collect();
    assert!(programs.iter().any(|it| it.ends_with(file!())), "{programs:?}");
    for program in programs {
        let text = fs::read_to_string(&program).expect("it can be read");
        let mut lines = text.lines().map(|it| it.trim_start_matches("prunner_tests::"));
        let watched = lines.any(|it| it.starts_with("watched!("));
        assert!(watched, "{} is not watched", program.display());
    }
}
