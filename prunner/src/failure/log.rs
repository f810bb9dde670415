//! What the log hears of the tasks that die.

use std::{
    fmt::Display,
    hash::{DefaultHasher, Hash, Hasher},
};

use parking_lot::Mutex;

use super::Failure;
use crate::text;

/// How many failures of a kind are logged in full.
const IN_FULL: u64 = 10;

/// How many kinds there are at most; all that come later are of one more.
const MOST_KINDS: usize = 50;

/// The failures of a run, as the log hears of them: the first ten of a kind in full, the others as a
/// number at the end.
#[derive(Debug, Default)]
pub(crate) struct FailureLog(Mutex<Vec<Kind>>);

/// Failures that are alike: the same label, the same place of a panic, and the same message but for
/// the numbers in it.
#[derive(Debug)]
struct Kind {
    /// The hash of what they have in common; `None` for the one kind of all that come too late.
    id: Option<u64>,
    /// The first one in short.
    first: String,
    count: u64,
}

impl FailureLog {
    /// Logs a failure after `lead`, if it is one of the first of its kind.
    pub(crate) fn add(&self, lead: impl Display, failure: &Failure) {
        if self.is_to_be_logged(failure) {
            log::error!("{lead}: {failure}");
        }
    }

    /// Logs how many failures were not logged, at the end of the run.
    pub(crate) fn sum_up(&self) {
        self.not_logged().iter().for_each(|line| log::error!("{line}"));
    }

    /// Counts it. The log itself is the program's, so nothing is written under this lock.
    fn is_to_be_logged(&self, failure: &Failure) -> bool {
        let id = Some(id_of(failure));
        let mut kinds = self.0.lock();
        let id = id.filter(|_| kinds.len() < MOST_KINDS || kinds.iter().any(|kind| kind.id == id));
        let at = kinds.iter().position(|kind| kind.id == id).unwrap_or_else(|| {
            let first = match id {
                Some(_) => text::label(format_args!("{}: {}", failure.label, failure.message)),
                None => "of various kinds".to_string(),
            };
            kinds.push(Kind { id, first, count: 0 });
            kinds.len() - 1
        });
        kinds[at].count += 1;
        kinds[at].count <= IN_FULL
    }

    fn not_logged(&self) -> Vec<String> {
        let kinds = self.0.lock();
        let more = kinds.iter().filter(|kind| kind.count > IN_FULL);
        more.map(|kind| {
            let (more, first) = (kind.count - IN_FULL, &kind.first);
            match kind.id {
                Some(_) => format!("... and {more} more tasks died like it: {first}"),
                None => format!("... and {more} more tasks died, {first}"),
            }
        })
        .collect()
    }
}

fn id_of(failure: &Failure) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&failure.label, failure.is_panic, &failure.place).hash(&mut hasher);
    let letters = failure.message.split(|c: char| c.is_ascii_digit());
    letters.filter(|letters| !letters.is_empty()).for_each(|letters| letters.hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Cause;

    fn failure(label: &str, message: impl Display) -> Failure {
        Failure::new(label, None, Cause::text(message), 0)
    }

    fn logged(log: &FailureLog, failures: impl Iterator<Item = Failure>) -> usize {
        failures.filter(|failure| log.is_to_be_logged(failure)).count()
    }

    #[test]
    fn ten_of_a_kind_are_logged_and_the_others_counted() {
        let log = FailureLog::default();
        assert_eq!(logged(&log, (0..5000).map(|n| failure("a", format!("line {n} is bad")))), 10);
        assert_eq!(logged(&log, (0..10).map(|_| failure("b", "line 7 is bad"))), 10);
        assert_eq!(logged(&log, (0..11).map(|_| failure("a", "no line at all"))), 10);
        let lines = [
            "... and 4990 more tasks died like it: a: line 0 is bad",
            "... and 1 more tasks died like it: a: no line at all",
        ];
        assert_eq!(log.not_logged(), lines);
    }

    #[test]
    fn an_error_and_a_panic_are_two_kinds() {
        let log = FailureLog::default();
        assert_eq!(logged(&log, (0..20).map(|_| failure("a", "no"))), 10);
        let panicked = |_| Failure::new("a", None, Cause::panic(Box::new("no".to_string())), 0);
        assert_eq!(logged(&log, (0..20).map(panicked)), 10);
    }

    /// Messages that are all different fill no log.
    #[test]
    fn the_kinds_are_bounded() {
        let log = FailureLog::default();
        let names = |n: u32| char::from_u32(0x4e00 + n).expect("a letter").to_string();
        let logged = logged(&log, (0..10_000).map(|n| failure("a", names(n))));
        assert_eq!(logged as u64, MOST_KINDS as u64 + IN_FULL);
        let more = 10_000 - logged;
        assert_eq!(log.not_logged(), [format!("... and {more} more tasks died, of various kinds")]);
        let line = failure("a", names(3));
        assert!(log.is_to_be_logged(&line), "a kind that is known stays one of its own");
    }
}
