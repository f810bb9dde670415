//! Programs for worker processes: the handler travels, `begin` and `end` stay, so that a test shows
//! what it does where it does it.

use std::fmt;

use prunner::{Context, Dict, Labeled, ParallelTaskRunner, TaskResult};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// What a worker process does.
pub trait Handler: Sync + Serialize + DeserializeOwned + 'static {
    /// What it does it with.
    type Task: Labeled + Send + Serialize + DeserializeOwned + 'static;

    /// Runs a task.
    ///
    /// # Errors
    ///
    /// As the test wants.
    fn run(&self, task: &Self::Task, cx: &mut Context<'_, Self::Task>) -> TaskResult;
}

type Begin<H> = Box<dyn Fn(&mut Context<'_, <H as Handler>::Task>) -> TaskResult + Send + Sync>;
type End = Box<dyn Fn(&Dict) -> TaskResult + Send + Sync>;

/// A program whose handler is `H`.
pub struct Travelling<H: Handler> {
    handler: H,
    begin: Begin<H>,
    end: End,
}

impl<H: Handler> Travelling<H> {
    /// A program with this `begin` and an `end` that does nothing.
    pub fn new(
        handler: H,
        begin: impl Fn(&mut Context<'_, H::Task>) -> TaskResult + Send + Sync + 'static,
    ) -> Self {
        Self { handler, begin: Box::new(begin), end: Box::new(|_| Ok(())) }
    }

    /// A program that begins with these tasks.
    pub fn of(handler: H, tasks: impl IntoIterator<Item = H::Task>) -> Self
    where
        H::Task: Clone + Sync,
    {
        let tasks: Vec<H::Task> = tasks.into_iter().collect();
        Self::new(handler, move |cx| {
            cx.post_all(tasks.iter().cloned());
            Ok(())
        })
    }

    /// The same program with this `end`.
    #[must_use]
    pub fn with_end(self, end: impl Fn(&Dict) -> TaskResult + Send + Sync + 'static) -> Self {
        Self { end: Box::new(end), ..self }
    }
}

impl<H: Handler> ParallelTaskRunner for Travelling<H> {
    type Task = H::Task;

    fn begin(&self, cx: &mut Context<'_, H::Task>) -> TaskResult {
        (self.begin)(cx)
    }

    fn run(&self, task: &H::Task, cx: &mut Context<'_, H::Task>) -> TaskResult {
        self.handler.run(task, cx)
    }

    fn end(&self, dict: &Dict) -> TaskResult {
        (self.end)(dict)
    }
}

impl<H: Handler> Serialize for Travelling<H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handler.serialize(serializer)
    }
}

impl<'de, H: Handler> Deserialize<'de> for Travelling<H> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handler = H::deserialize(deserializer)?;
        let at_home = |_: &Dict| -> TaskResult { Err("end runs in the parent".into()) };
        Ok(Self::new(handler, |_| Err("begin runs in the parent".into())).with_end(at_home))
    }
}

impl<H: Handler> fmt::Debug for Travelling<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Travelling").finish_non_exhaustive()
    }
}

/// Makes a [`Handler`] without any state of its own.
///
/// ```
/// # use prunner::{Key, Labeled, Sum};
/// # use serde::{Deserialize, Serialize};
/// # const SUM: Key<Sum<u64>> = Key::new("sum");
/// #[derive(Labeled, Serialize, Deserialize)]
/// struct Number(u64);
///
/// prunner_tests::handler!(Adds: Number, |&Number(n), cx| {
///     cx.merge(SUM, Sum(n));
///     Ok(())
/// });
/// ```
#[macro_export]
macro_rules! handler {
    ($name:ident: $task:ty, |$item:pat_param, $cx:pat_param| $body:block) => {
        #[derive(Debug, ::serde::Serialize, ::serde::Deserialize)]
        pub(crate) struct $name;

        impl $crate::travelling::Handler for $name {
            type Task = $task;

            fn run(
                &self,
                task: &$task,
                cx: &mut ::prunner::Context<'_, $task>,
            ) -> ::prunner::TaskResult {
                let ($item, $cx) = (task, cx);
                $body
            }
        }
    };
}
