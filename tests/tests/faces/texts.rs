//! Texts of the program are short and harmless wherever they are kept and printed.

use std::{error, fmt, panic::resume_unwind};

use prunner::{
    Context, Error, Labeled as _, ParallelTaskRunner, Task, TaskResult, post_task, task,
};
use serde::{Deserialize, Serialize};

use super::{Engine, log_lines, report};

const MEGABYTE: usize = 1 << 20;

#[task]
fn long_data(_: u64, _: Vec<u8>) -> Result<(), String> {
    Err("no".into())
}

/// What is printed of an error, in whichever way.
fn prints(error: &Error) -> [String; 4] {
    let report = report(error);
    let failures: Vec<String> = report.failures().iter().map(ToString::to_string).collect();
    [error.to_string(), format!("{error:?}"), report.to_string(), failures.join("\n")]
}

#[track_caller]
fn assert_short(error: &Error, word: &str) {
    for text in prints(error) {
        assert!(text.len() < 40_000, "{} bytes", text.len());
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
    let lines = log_lines::take(word);
    assert!(!lines.is_empty());
    let logged: usize = lines.iter().map(String::len).sum();
    assert!(logged < 100_000, "{logged} bytes are logged");
    let json = serde_json::to_string(report(error)).expect("a report can be written");
    assert!(json.len() < 100_000, "{} bytes", json.len());
}

#[test]
fn megabytes_of_data_are_cut() {
    log_lines::keep();
    for engine in Engine::all() {
        let error = engine.fails(|| {
            (0..5).for_each(|n| post_task(long_data, (n, vec![7; MEGABYTE])));
        });
        assert_short(&error, "long_data");
        for failure in report(&error).failures() {
            let data = failure.data().expect("it is shown");
            assert!(data.starts_with('(') && data.ends_with("..."), "{data}");
            assert_eq!(data.len(), 2048);
        }
    }
}

#[task]
fn long_message(way: u64) -> Result<(), String> {
    let message = "\x1b[2J red\n".repeat(MEGABYTE / 8);
    match way {
        // The panic hook would print it.
        0 => resume_unwind(Box::new(message)),
        _ => Err(message),
    }
}

#[test]
fn megabytes_of_messages_are_cut_and_escaped() {
    log_lines::keep();
    for engine in Engine::all() {
        let error = engine.fails(|| (0..2).for_each(|way| post_task(long_message, way)));
        assert_short(&error, "long_message");
        for failure in report(&error).failures() {
            assert!(failure.message().starts_with("\\u{1b}[2J red\n"), "{failure}");
            assert!((4000..=4096).contains(&failure.message().len()), "{failure}");
        }
    }
}

/// A program whose labels are long, and two of them alike in what is kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct LongLabels;

fn label(end: &str) -> String {
    format!("long\x07label{}{end}", "x".repeat(MEGABYTE))
}

impl ParallelTaskRunner for LongLabels {
    type Task = Task<u64>;

    fn begin(&self, cx: &mut Context<'_, Task<u64>>) -> TaskResult {
        cx.post_all((0..5).map(|n| Task::new(label(if n % 2 == 0 { "a" } else { "b" }), n)));
        Ok(())
    }

    fn run(&self, task: &Task<u64>, _: &mut Context<'_, Task<u64>>) -> TaskResult {
        assert!(task.label().len() > MEGABYTE, "the program itself sees all of it");
        if task.data < 4 { Err("no".into()) } else { Ok(()) }
    }
}

#[test]
fn megabytes_of_labels_are_cut() {
    log_lines::keep();
    for engine in Engine::all() {
        let error = engine.start(LongLabels).expect_err("four die");
        assert_short(&error, "long\\u{7}label");
        let row = report(&error).label(&label("b")).expect("it is found by its whole label");
        assert_eq!((row.finished(), row.dead()), (1, 4), "{engine:?}");
        assert!(row.label().starts_with("long\\u{7}labelxxx"), "{}", row.label());
        assert_eq!((row.label().len(), report(&error).labels().len()), (256, 1));
    }
}

/// An error whose `Display` or `source` is as its number says.
#[derive(Debug)]
struct Odd(u64);

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 3 {
            0 => panic!("no words"),
            _ => f.write_str("odd"),
        }
    }
}

impl error::Error for Odd {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self.0 % 3 {
            1 => panic!("no source"),
            _ => Some(self),
        }
    }
}

#[task]
fn odd_error(n: u64) -> Result<(), Odd> {
    Err(Odd(n))
}

#[test]
fn an_error_that_panics_or_has_no_end_kills_its_task_alone() {
    for engine in Engine::all() {
        for tasks in [1, 42] {
            let error = engine.fails(move || (0..tasks).for_each(|n| post_task(odd_error, n)));
            let ledger = report(&error).ledger();
            assert_eq!((ledger.posted, ledger.dead, ledger.left), (tasks, tasks, 0), "{engine:?}");
            for failure in report(&error).failures() {
                let message = failure.message();
                let text = "an error's Display or source panicked at ";
                let (starts, ends) = match failure.data() {
                    Some("0") => (text, ": no words"),
                    Some("1") => ("odd", ": no source"),
                    Some("2") => ("odd: odd: odd", ": ..."),
                    _ => continue,
                };
                assert!(message.starts_with(starts) && message.ends_with(ends), "{message}");
                assert!(!failure.is_panic() && failure.place().is_none(), "{failure}");
            }
        }
    }
}

#[test]
fn a_run_of_nothing_prints_no_table() {
    for engine in Engine::all() {
        let nothing = prunner::MessageLoop::new(|| (), || ());
        let text = engine.start(nothing).expect("nothing fails").to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.ends_with('\n'), "{text}");
    }
}

/// What `main` prints when it returns the error.
#[test]
fn the_error_shows_the_table_of_labels() {
    for engine in Engine::all() {
        let error = engine.fails(|| (0..3).for_each(|n| post_task(odd_error, n)));
        let (text, shown) = (error.to_string(), format!("{error:?}"));
        let table = shown.strip_prefix(&text).expect("the text comes first");
        let lines: Vec<&str> = table.trim_start_matches('\n').lines().collect();
        assert!(lines[0].starts_with("posted 3 = finished 0 + dead 3 in "), "{shown}");
        assert!(lines[1].trim_start().starts_with("label "), "{shown}");
        let row: Vec<&str> = lines[2].split_whitespace().take(3).collect();
        assert_eq!((row, lines.len()), (vec!["texts::odd_error", "0", "3"], 3), "{shown}");
    }
}
