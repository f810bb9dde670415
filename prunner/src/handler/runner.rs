//! What a program implements.

use super::Context;
use crate::{dict::Dict, failure::TaskResult, task::Labeled};

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
    /// waits for the second (a run of one task then wakes no worker), for [`Context::flush`] or for the end
    /// of `begin`. What was merged until then is committed with them.
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
    /// returns an error that lists it.
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
