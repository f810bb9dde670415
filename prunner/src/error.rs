//! What a run ends with when it did not end well.

use std::fmt;

use crate::report::Report;

/// Why a run is not a success.
///
/// Where there was a run, [`report`](Error::report) tells everything about it. `Debug` prints the
/// same readable text as `Display`, because that is what `main` prints when it returns an error.
///
/// ```
/// use prunner::{Error, MessageLoop, Runner, post_task};
///
/// fn run(workers: usize) -> Result<(), Error> {
///     let begin = || post_task(|n: u32| assert!(n > 7, "{n} is too small"), 7);
///     Runner::new(MessageLoop::new(begin, || ())).workers(workers).start()?;
///     Ok(())
/// }
///
/// let error = run(0).unwrap_err();
/// assert!(error.is_config() && error.report().is_none());
///
/// let error = run(1).unwrap_err();
/// let what = match () {
///     _ if error.is_interrupted() => "Ctrl-C",
///     _ if error.is_begin() || error.is_end() => "begin or end failed",
///     _ if error.is_workers() => "no worker processes to go on with",
///     _ if error.is_dict() => "the dict is not whole",
///     _ if error.is_ledger() => "a fault of prunner",
///     _ if error.is_dead() => "tasks died",
///     _ => "another reason",
/// };
/// assert_eq!((what, error.exit_code()), ("tasks died", 1));
/// assert_eq!(error.into_report().map(|report| report.ledger().dead), Some(1));
/// ```
///
/// # Design
///
/// One opaque type, one word wide, with private kinds: a new kind breaks no program. Ask with the
/// `is_*` methods.
pub struct Error(Box<Repr>);

struct Repr {
    kind: Kind,
    report: Option<Report>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// The run could not start: a setting that cannot work.
    Config(String),
    /// `begin` failed; the text says how.
    Begin(String),
    /// There were no worker processes to go on with; the text says why.
    Workers(String),
    /// The dict is not whole; the text says why.
    Dict(String),
    /// Posted tasks and tasks that came to an end do not match; the text says how many there are of each.
    Ledger(String),
    /// `end` failed; the text says how.
    End(String),
    /// Tasks died; the report knows which.
    Dead,
    /// Ctrl-C, and how `end` failed, if it did.
    Interrupted(Option<String>),
}

impl Error {
    pub(crate) fn config(text: impl Into<String>) -> Self {
        Self(Box::new(Repr { kind: Kind::Config(text.into()), report: None }))
    }

    pub(crate) fn of_run(kind: Kind, report: Report) -> Self {
        Self(Box::new(Repr { kind, report: Some(report) }))
    }

    /// The report of the run, if there was one.
    pub fn report(&self) -> Option<&Report> {
        self.0.report.as_ref()
    }

    /// The report of the run, if there was one.
    pub fn into_report(self) -> Option<Report> {
        self.0.report
    }

    /// Whether a setting made the run impossible, such as zero workers. Nothing was run.
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, Kind::Config(_))
    }

    /// Whether `begin` returned an error or panicked. `end` was not run.
    pub fn is_begin(&self) -> bool {
        matches!(self.0.kind, Kind::Begin(_))
    }

    /// Whether there were no worker processes to begin or to go on with. `end` was not run.
    pub fn is_workers(&self) -> bool {
        matches!(self.0.kind, Kind::Workers(_))
    }

    /// Whether the dict is not whole: a merge panicked on what finished tasks had merged, or a task kept
    /// the lock for ever. `end` was not run.
    pub fn is_dict(&self) -> bool {
        matches!(self.0.kind, Kind::Dict(_))
    }

    /// Whether tasks were lost or counted twice: the [ledger](crate::Ledger) of a run that was not
    /// stopped does not balance. `end` was not run. It is a fault of prunner itself.
    pub fn is_ledger(&self) -> bool {
        matches!(self.0.kind, Kind::Ledger(_))
    }

    /// Whether `end` returned an error or panicked.
    pub fn is_end(&self) -> bool {
        matches!(self.0.kind, Kind::End(_))
    }

    /// Whether tasks died. `end` was run all the same.
    pub fn is_dead(&self) -> bool {
        matches!(self.0.kind, Kind::Dead)
    }

    /// Whether the run was interrupted by Ctrl-C.
    pub fn is_interrupted(&self) -> bool {
        matches!(self.0.kind, Kind::Interrupted(_))
    }

    /// What a program should exit with: 130 after Ctrl-C, as shells expect, otherwise 1.
    pub fn exit_code(&self) -> u8 {
        if self.is_interrupted() { 130 } else { 1 }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Config(text) => f.write_str(text),
            Kind::Begin(text) => write!(f, "begin failed, so end was not run: {text}"),
            Kind::Dict(why) | Kind::Workers(why) | Kind::Ledger(why) => {
                write!(f, "end was not run: {why}")
            }
            Kind::End(text) => write!(f, "end failed: {text}"),
            Kind::Dead => Ok(()),
            Kind::Interrupted(_) => f.write_str("interrupted"),
        }?;
        let Some(report) = &self.0.report else { return Ok(()) };
        let ledger = report.ledger();
        if let Kind::Interrupted(end) = &self.0.kind {
            write!(f, ": {} of {} tasks were left", ledger.left, ledger.posted)?;
            if let Some(text) = end {
                write!(f, "; end failed: {text}")?;
            }
        }
        if ledger.dead > 0 {
            let lead = if matches!(self.0.kind, Kind::Dead) { "" } else { "; " };
            write!(f, "{lead}{}", report.dead_summary())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
