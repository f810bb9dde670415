//! What a program implements.

use std::{error, fmt};

use crate::{context::Context, dict::Dict, task::Labeled};

/// A program that runs on prunner: what starts it, what each task does, what is left to do at the
/// end.
///
/// The runner is shared by all workers, so it holds what they only read: options, clients, tables.
/// What they change goes into the [dict](Context::merge).
///
/// ```
/// use prunner::{Context, Dict, Key, Labeled, ParallelTaskRunner, Runner, Sum, TaskResult};
///
/// const LEAVES: Key<Sum<u64>> = Key::new("leaves");
///
/// #[derive(Labeled)]
/// struct Grow { depth: u32 }
///
/// struct Tree;
///
/// impl ParallelTaskRunner for Tree {
///     type Task = Grow;
///
///     fn begin(&self, cx: &mut Context<'_, Grow>) -> TaskResult {
///         cx.post(Grow { depth: 10 });
///         Ok(())
///     }
///
///     fn run(&self, task: &Grow, cx: &mut Context<'_, Grow>) -> TaskResult {
///         match task.depth {
///             0 => cx.merge(LEAVES, Sum(1)),
///             depth => cx.post_all([depth - 1, depth - 1].map(|depth| Grow { depth })),
///         }
///         Ok(())
///     }
///
///     fn end(&self, dict: &Dict) -> TaskResult {
///         assert_eq!(dict.get(LEAVES), Some(Sum(1024)));
///         Ok(())
///     }
/// }
///
/// Runner::new(Tree).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
pub trait ParallelTaskRunner: Sync {
    /// A label and its data; usually an enum with one variant for each label.
    type Task: Labeled + Send;

    /// Runs first, once, and posts the first tasks.
    ///
    /// Tasks may start while it still posts: posts are published as they come, only the very first
    /// waits for the second (a run of one task then wakes nobody), for [`Context::flush`] or for the end
    /// of `begin`. What was merged until then becomes true with them.
    ///
    /// # Errors
    ///
    /// An error or a panic fails the run: what is running ends, nothing new starts, `end` is not
    /// run.
    fn begin(&self, cx: &mut Context<'_, Self::Task>) -> TaskResult;

    /// Runs one task.
    ///
    /// What it posts and merges appears when it returns `Ok`; if it fails, nothing of it does. Effects
    /// outside prunner are not undone.
    ///
    /// # Errors
    ///
    /// An error or a panic makes this task dead; the run goes on, and [`start`](crate::Runner::start)
    /// returns an error that tells of it.
    fn run(&self, task: &Self::Task, cx: &mut Context<'_, Self::Task>) -> TaskResult;

    /// Runs last, once, after the last task has finished, and sees the whole dict.
    ///
    /// It runs also when tasks have died or the run was interrupted: partial results may be worth
    /// writing.
    ///
    /// # Errors
    ///
    /// An error or a panic becomes the error of the run.
    fn end(&self, dict: &Dict) -> TaskResult {
        let _ = dict;
        Ok(())
    }
}

/// For a program that is still wanted after the run: `Runner::new(&program)`.
impl<R: ParallelTaskRunner> ParallelTaskRunner for &R {
    type Task = R::Task;

    fn begin(&self, cx: &mut Context<'_, Self::Task>) -> TaskResult {
        (**self).begin(cx)
    }

    #[inline]
    fn run(&self, task: &Self::Task, cx: &mut Context<'_, Self::Task>) -> TaskResult {
        (**self).run(task, cx)
    }

    fn end(&self, dict: &Dict) -> TaskResult {
        (**self).end(dict)
    }
}

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
