//! What a run ends with when it did not end well.

use std::{error, fmt};

use crate::{failure::Cause, report::Report, text};

/// Why a run is not a success.
///
/// Where there was a run, [`report`](Error::report) has everything about it. `Debug` prints the same
/// readable text as `Display` and, if tasks have run, the ledger and the table of labels, because that is
/// what `main` prints when it returns an error.
///
/// [`source`](error::Error::source) is the error that `begin` or `end` has returned, to be downcast:
///
/// ```
/// # use std::error::Error as _;
/// use prunner::{MessageLoop, Runner, TaskResult};
///
/// fn begin() -> TaskResult {
///     std::fs::read("/there/is/no/such/file")?;
///     Ok(())
/// }
///
/// let error = Runner::new(MessageLoop::new(begin, || ())).start().expect_err("begin fails");
/// let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
/// assert_eq!(source.expect("begin's error").kind(), std::io::ErrorKind::NotFound);
/// ```
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
    /// `begin` failed.
    Begin(Cause),
    /// There were no worker processes to go on with; the text says why.
    Workers(String),
    /// The dict is not whole; the text says why.
    Dict(String),
    /// Posted tasks and tasks that came to an end do not match; the text says how many there are of each.
    Ledger(String),
    /// `end` failed.
    End(Cause),
    /// Tasks died; the report knows which.
    Dead,
    /// Ctrl-C, and how `end` failed, if it did.
    Interrupted(Option<Cause>),
}

impl Error {
    pub(crate) fn config(text: impl fmt::Display) -> Self {
        Self(Box::new(Repr { kind: Kind::Config(text::message(text)), report: None }))
    }

    pub(crate) fn of_run(kind: Kind, report: Report) -> Self {
        let kind = match kind {
            // Names of keys and causes of errors are in them.
            Kind::Workers(why) => Kind::Workers(text::message(why)),
            Kind::Dict(why) => Kind::Dict(text::message(why)),
            kind => kind,
        };
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
            Kind::Config(text) => text::write_indented(f, text),
            Kind::Begin(cause) => write!(f, "begin failed, so end was not run: {cause}"),
            Kind::Dict(why) | Kind::Workers(why) | Kind::Ledger(why) => {
                f.write_str("end was not run: ")?;
                text::write_indented(f, why)
            }
            Kind::End(cause) => write!(f, "end failed: {cause}"),
            Kind::Dead => Ok(()),
            Kind::Interrupted(_) => f.write_str("interrupted"),
        }?;
        let Some(report) = &self.0.report else { return Ok(()) };
        let ledger = report.ledger();
        if let Kind::Interrupted(end) = &self.0.kind {
            write!(f, ": {} of {} tasks were left", ledger.left, ledger.posted)?;
            if let Some(cause) = end {
                write!(f, "; end failed: {cause}")?;
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
        fmt::Display::fmt(self, f)?;
        match &self.0.report {
            Some(report) if !report.labels().is_empty() => write!(f, "\n{}", report.table()),
            _ => Ok(()),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.0.kind {
            Kind::Begin(cause) | Kind::End(cause) | Kind::Interrupted(Some(cause)) => cause.error(),
            _ => None,
        }
    }
}
