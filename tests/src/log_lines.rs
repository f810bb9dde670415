//! Prints what prunner logs, so that a test that started the program can read it.

use log::{LevelFilter, Log, Metadata, Record};

struct LogLines;

impl Log for LogLines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        println!("{}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

/// Prints warnings and errors to the standard output from now on: `WARN: ...`.
///
/// # Panics
///
/// When the program has a logger already.
pub fn print_warnings() {
    log::set_logger(&LogLines).expect("there is no other logger");
    log::set_max_level(LevelFilter::Warn);
}
