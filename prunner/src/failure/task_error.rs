//! What a handler returns when it fails.

use std::{error, fmt};

/// What a handler returns.
///
/// ```
/// use prunner::TaskResult;
///
/// fn parse(line: &str) -> TaskResult<u64> {
///     Ok(line.trim().parse()?)
/// }
///
/// fn handler(line: String) -> TaskResult {
///     println!("{}", parse(&line)?);
///     Ok(())
/// }
/// assert!(handler("7".to_string()).is_ok() && handler("x".to_string()).is_err());
/// ```
pub type TaskResult<T = ()> = Result<T, TaskError>;

/// Why a handler failed: any error that `?` converts, or a text.
///
/// ```
/// use prunner::TaskResult;
///
/// fn handler(line: &str) -> TaskResult {
///     let number: u64 = line.trim().parse()?;
///     if number == 0 {
///         return Err("zero is not allowed".into());
///     }
///     Ok(())
/// }
/// assert_eq!(handler("0").unwrap_err().to_string(), "zero is not allowed");
/// assert_eq!(handler("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
///
/// `Display` prints the whole chain of causes, as far as they are not more than 32. Like `anyhow::Error` it does not implement
/// [`std::error::Error`] itself, else `?` could not convert every error.
///
/// The error itself is its cause:
///
/// ```
/// use std::num::ParseIntError;
///
/// use prunner::TaskError;
///
/// let error = TaskError::from("x".parse::<u64>().unwrap_err());
/// assert!(error.cause().is::<ParseIntError>());
/// ```
pub struct TaskError(Box<Box<dyn error::Error + Send + Sync>>);

impl TaskError {
    /// The error that the handler returned.
    pub fn cause(&self) -> &(dyn error::Error + Send + Sync + 'static) {
        &**self.0
    }

    pub(crate) fn into_cause(self) -> Box<dyn error::Error + Send + Sync> {
        *self.0
    }
}

/// How many causes of an error are shown. There may be no last one.
const MOST_CAUSES: usize = 32;

impl<E: Into<Box<dyn error::Error + Send + Sync>>> From<E> for TaskError {
    fn from(cause: E) -> Self {
        Self(Box::new(cause.into()))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause())?;
        let mut next = self.cause().source();
        for _ in 0..MOST_CAUSES {
            let Some(cause) = next else { return Ok(()) };
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        if next.is_some() { f.write_str(": ...") } else { Ok(()) }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
