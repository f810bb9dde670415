//! What a task is: a label and its data.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// A task that has a label: what reports count it under and what a log calls it.
///
/// Derive it. For an enum each variant is a label and its fields are the data; a struct has one
/// label, its name.
///
/// ```
/// use prunner::Labeled;
///
/// #[derive(Labeled)]
/// enum Step { Fetch { url: String, depth: u32 }, Save(u64) }
///
/// assert_eq!(Step::Save(7).label(), "Save");
/// ```
///
/// Data whose type is `Debug` is shown in reports of failures; the task itself need not be.
///
/// Without the derive, for a type that has its label elsewhere:
///
/// ```
/// use std::fmt;
///
/// use prunner::Labeled;
///
/// enum Method { Get, Put }
///
/// struct Request { method: Method, size: u64 }
///
/// impl Labeled for Request {
///     fn label(&self) -> &str {
///         match self.method {
///             Method::Get => "Get",
///             Method::Put => "Put",
///         }
///     }
///     fn label_id(&self) -> u64 {
///         match self.method {
///             Method::Get => 0,
///             Method::Put => 1,
///         }
///     }
///     fn fmt_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         write!(f, "{} bytes", self.size)
///     }
/// }
///
/// assert_eq!(Request { method: Method::Put, size: 7 }.label(), "Put");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task: it has no label",
    label = "tasks implement `Labeled`",
    note = "put `#[derive(prunner::Labeled)]` on it; an enum's variants are its labels",
    note = "for a task with a label chosen at run time use `prunner::Task {{ label, data }}`"
)]
pub trait Labeled {
    /// The label.
    fn label(&self) -> &str;

    /// A number for the label: the same for tasks with the same label, different otherwise.
    ///
    /// Statistics are kept under it; it is asked for with every task, so it should cost next to
    /// nothing. Small numbers (a variant's index) are best.
    fn label_id(&self) -> u64 {
        hash(self.label())
    }

    /// Writes the data as text, for reports of failures. Nothing unless it is implemented.
    ///
    /// # Errors
    ///
    /// As `f` does.
    fn fmt_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        Ok(())
    }
}

/// FNV-1a, for names that are known at compile time.
pub(crate) const fn hash(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// The data of `task` as text, if it has any: as much as is kept of it, and no more is written.
pub(crate) fn data_text(task: &impl Labeled) -> Option<String> {
    struct Data<'a, T>(&'a T);
    impl<T: Labeled> fmt::Display for Data<'_, T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt_data(f)
        }
    }
    let mut text = Text::data();
    // A user's `Debug` that returns an error leaves the text as far as it came.
    let _ = write!(text, "{}", Data(task));
    (!text.is_empty()).then(|| text.finish())
}

/// A task whose label is chosen at run time: the shape of the original's `Task(label, data)`.
///
/// ```
/// use prunner::{Labeled, Task};
///
/// let task = Task::new("add_one", 41);
/// assert_eq!((task.label(), task.data), ("add_one", 41));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task<D> {
    /// What kind of task this is.
    pub label: Cow<'static, str>,
    /// What it works on.
    pub data: D,
}

impl<D> Task<D> {
    /// Makes a task.
    pub fn new(label: impl Into<Cow<'static, str>>, data: D) -> Self {
        Self { label: label.into(), data }
    }
}

impl<D: fmt::Debug> Labeled for Task<D> {
    fn label(&self) -> &str {
        &self.label
    }

    fn fmt_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.data)
    }
}

/// Which tasks a worker prefers: all tasks of a higher priority that it sees run before any of a
/// lower one.
///
/// A property of the post: see [`Context::post_with`](crate::Context::post_with). Priorities hold
/// on each worker, not across workers, and never interrupt a running handler.
///
/// ```
/// use prunner::{Append, Key, MessageLoop, Priority, Runner, merge, post_task_with};
///
/// const RAN: Key<Append<char>> = Key::new("ran");
///
/// fn begin() {
///     post_task_with(Priority::Low, note, 'c');
///     post_task_with(Priority::Normal, note, 'b');
///     post_task_with(Priority::High, note, 'a');
/// }
///
/// fn note(name: char) {
///     merge(RAN, Append::one(name));
/// }
///
/// let report = Runner::new(MessageLoop::new(begin, || ())).workers(1).start()?;
/// assert_eq!(report.dict().get(RAN).unwrap_or_default().0, ['a', 'b', 'c']);
/// # Ok::<(), prunner::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// Before all others.
    High,
    /// What [`Context::post`](crate::Context::post) gives.
    #[default]
    Normal,
    /// When there is nothing else to do.
    Low,
}
