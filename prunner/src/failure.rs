//! How a task died.

mod log;
mod place;
mod task_error;

use std::{
    any::Any,
    error,
    fmt::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    task::{Labeled, data_text},
    text::{self, Text},
};
pub(crate) use log::FailureLog;
pub(crate) use place::PanicWatch;
pub use task_error::{TaskError, TaskResult};

/// How a task died: what it was and what went wrong.
///
/// Texts of the program are shortened where they are noted, a label to 256 bytes, data to 2 KiB and a
/// message to 4 KiB, and end with `...` then. Control characters in them are escaped; the lines of a
/// message stay.
///
/// # Serialized
///
/// The fields are `label`, `data`, `message`, `is_panic`, `place` and `worker`, as the methods of these
/// names return them. They stay.
///
/// # Examples
///
/// ```
/// use prunner::{MessageLoop, Runner, post_task};
///
/// fn divide(a: u32, b: u32) {
///     println!("{}", a / b);
/// }
///
/// let begin = || post_task(divide, (1, 0));
/// let error = Runner::new(MessageLoop::new(begin, || ())).workers(1).start().unwrap_err();
/// let failure = &error.report().expect("there was a run").failures()[0];
/// assert_eq!(failure.data(), Some("(1, 0)"));
/// assert_eq!(failure.message(), "attempt to divide by zero");
/// assert!(failure.is_panic() && failure.place().is_some());
/// println!("{} on worker {}", failure.label(), failure.worker());
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub(crate) label: String,
    pub(crate) data: Option<String>,
    message: String,
    is_panic: bool,
    place: Option<String>,
    worker: usize,
}

impl Failure {
    pub(crate) fn new(
        label: impl fmt::Display,
        data: Option<String>,
        cause: Cause,
        worker: usize,
    ) -> Self {
        Self {
            label: text::label(label),
            data: data.map(text::data),
            message: cause.message,
            is_panic: cause.panicked,
            place: cause.place,
            worker,
        }
    }

    /// The failure of `task`. Its label and its data are the program's and may panic, too.
    pub(crate) fn of(task: &impl Labeled, cause: Cause, worker: usize) -> Self {
        let label = guarded(|| text::label(task.label()));
        let data = guarded(|| data_text(task));
        let label = label.unwrap_or_else(|_| "a task without a label".to_string());
        Self::new(label, data.ok().flatten(), cause, worker)
    }

    /// The label of the task.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The data of the task, where it is `Debug`.
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// The error with all its causes, or the panic's message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the handler panicked.
    pub fn is_panic(&self) -> bool {
        self.is_panic
    }

    /// The place of the panic: file, line and column. For a misuse of prunner it is that of the
    /// program's call. `None` for an error, and for a panic when the program has replaced the panic hook
    /// after the run started.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// The number of the worker on which it happened.
    pub fn worker(&self) -> usize {
        self.worker
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)?;
        match &self.data {
            // A tuple variant's data has its parentheses already.
            Some(data) if data.starts_with('(') => f.write_str(data)?,
            Some(data) if data.starts_with('{') => write!(f, " {data}")?,
            Some(data) => write!(f, "({data})")?,
            None => {}
        }
        f.write_str(": ")?;
        write_cause(f, self.is_panic, self.place.as_deref(), &self.message)
    }
}

/// Why a handler, `begin` or `end` did not return `Ok`.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    message: String,
    panicked: bool,
    place: Option<String>,
    /// The error of a hook, for a program that wants to see it.
    error: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cause(f, self.panicked, self.place.as_deref(), &self.message)
    }
}

fn write_cause(
    f: &mut fmt::Formatter<'_>,
    panicked: bool,
    place: Option<&str>,
    message: &str,
) -> fmt::Result {
    if panicked {
        f.write_str("panicked")?;
        if let Some(place) = place {
            write!(f, " at {place}")?;
        }
        f.write_str(": ")?;
    }
    text::write_indented(f, message)
}

impl Cause {
    /// What the engine itself has to say.
    pub(crate) fn text(message: impl fmt::Display) -> Self {
        Self { message: text::message(message), panicked: false, place: None, error: None }
    }

    /// Runs `f`, a hook of the program, and says why it failed. An error of `f` is kept.
    pub(crate) fn of(f: impl FnOnce() -> Result<(), TaskError>) -> Result<(), Self> {
        match guarded(f) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let message = message_of(&error);
                let error = Some(error.into_cause().into());
                Err(Self { message, panicked: false, place: None, error })
            }
            Err(cause) => Err(cause),
        }
    }

    /// What a caught panic says.
    pub(crate) fn panic(payload: Box<dyn Any + Send>) -> Self {
        let message = text_of(&*payload);
        drop_quietly(payload);
        let place = place::take_place(&message);
        Self { message, panicked: true, place, error: None }
    }

    /// The error that a hook returned.
    pub(crate) fn error(&self) -> Option<&(dyn error::Error + 'static)> {
        self.error.as_deref().map(|error| error as _)
    }
}

impl From<TaskError> for Cause {
    /// The error's own code panics nowhere but in here.
    fn from(error: TaskError) -> Self {
        let message = message_of(&error);
        drop_quietly(error);
        Self { message, panicked: false, place: None, error: None }
    }
}

/// What the error displays, with all its causes, to the point where one of them panics.
fn message_of(error: &TaskError) -> String {
    let mut text = Text::message();
    // What fails is only that the text is full, or that the program's code says so.
    let shown = guarded(|| _ = write!(text, "{error}"));
    if let Err(cause) = shown {
        let place = cause.place.map(|place| format!(" at {place}")).unwrap_or_default();
        let _ = write!(text, "an error's Display or source panicked{place}: {}", cause.message);
    }
    text.finish()
}

/// What `f` returns, which is code of the program, unless it panics.
pub(crate) fn unless_it_panics<O>(f: impl FnOnce() -> O) -> Option<O> {
    guarded(f).ok()
}

/// Runs code of the program that may panic, and says with what.
#[inline]
pub(crate) fn guarded<O>(f: impl FnOnce() -> O) -> Result<O, Cause> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(done) => Ok(done),
        Err(payload) => Err(Cause::panic(payload)),
    }
}

/// The message of a panic whose payload is no text.
const NO_TEXT: &str = "with a value that is not a text";

/// The text of a panic.
fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text::message(text.unwrap_or(NO_TEXT))
}

/// Drops a value of the program's whose destructor may panic, where a panic cannot be let through.
pub(crate) fn drop_quietly<T>(value: T) {
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(value)));
    if let Err(payload) = dropped {
        // Also where nothing is logged: the payload must not be dropped.
        let text = Cause::panic_of_panic(payload);
        ::log::error!("a destructor panicked: {text}");
    }
}

impl Cause {
    /// The panic of a destructor; what *its* payload does when dropped does not matter any more.
    fn panic_of_panic(payload: Box<dyn Any + Send>) -> String {
        let text = text_of(&*payload);
        std::mem::forget(payload);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error whose text, causes and destructor are given.
    struct Odd {
        text: fn(&mut fmt::Formatter<'_>) -> fmt::Result,
        source: fn(&Odd) -> Option<&(dyn error::Error + 'static)>,
        drop: fn(),
    }

    impl fmt::Debug for Odd {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("nobody asks for this")
        }
    }

    impl fmt::Display for Odd {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (self.text)(f)
        }
    }

    impl error::Error for Odd {
        fn source(&self) -> Option<&(dyn error::Error + 'static)> {
            (self.source)(self)
        }
    }

    impl Drop for Odd {
        fn drop(&mut self) {
            (self.drop)()
        }
    }

    const EVEN: Odd = Odd { text: |f| f.write_str("odd"), source: |_| None, drop: || () };

    /// The message of the error, from a handler and from a hook.
    fn message(error: fn() -> Odd) -> String {
        let _watch = PanicWatch::begin();
        let handler = Cause::from(TaskError::from(error()));
        let hook = guarded(|| Cause::of(|| Err(error().into())).expect_err("it is an error"));
        assert!(!handler.panicked && handler.place.is_none());
        if let Ok(hook) = hook {
            assert_eq!((hook.message, hook.panicked), (handler.message.clone(), false));
        }
        handler.message
    }

    #[test]
    fn an_error_that_panics_says_so() {
        let line = line!() + 1;
        let text = message(|| Odd { text: |_| panic!("no words"), ..EVEN });
        let lead = format!("an error's Display or source panicked at {}:{line}:", file!());
        assert!(text.starts_with(&lead) && text.ends_with(": no words"), "{text}");

        let text =
            message(|| Odd { text: |f| f.write_str("half, "), source: |_| panic!("done"), ..EVEN });
        assert!(text.starts_with("half, an error's Display") && text.ends_with("done"), "{text}");
    }

    #[test]
    fn an_error_that_causes_itself_has_an_end() {
        let text = message(|| Odd { source: |it| Some(it), ..EVEN });
        assert!(text.starts_with("odd: odd: odd") && text.ends_with(": ..."), "{text}");
        let silent = message(|| Odd { text: |_| Ok(()), source: |it| Some(it), ..EVEN });
        assert!(silent.len() < 100, "{silent}");
    }

    #[test]
    fn an_error_of_megabytes_is_cut() {
        let text = message(|| Odd {
            text: |f| (0..1 << 17).try_for_each(|_| f.write_str("\x1b[31m red")),
            ..EVEN
        });
        assert!(text.len() <= text::MOST_MESSAGE);
        assert!(text.starts_with(r"\u{1b}[31m red") && text.ends_with("..."), "{text}");
    }

    #[test]
    fn an_error_whose_destructor_panics_is_survived() {
        assert_eq!(
            Cause::from(TaskError::from(Odd { drop: || panic!("drop"), ..EVEN })).message,
            "odd"
        );
    }

    #[test]
    fn a_long_panic_is_cut_and_keeps_its_place() {
        let _watch = PanicWatch::begin();
        let line = line!() + 1;
        let cause = Cause::of(|| panic!("{}", "\x07 ".repeat(3000))).expect_err("it panics");
        assert!(cause.message.starts_with(r"\u{7} \u{7} "), "{}", cause.message);
        assert!(cause.message.len() <= text::MOST_MESSAGE);
        let place = cause.place.expect("the hook noted it");
        assert!(place.starts_with(&format!("{}:{line}:", file!())), "{place}");
    }

    #[test]
    fn the_label_and_the_data_may_be_anything() {
        struct Loud;
        impl Labeled for Loud {
            fn label(&self) -> &str {
                "a label \x1b[2J\nof two lines"
            }
            fn fmt_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    writeln!(f, "{:?}", "data")?;
                }
            }
        }
        let failure = Failure::of(&Loud, Cause::text("no\nway"), 3);
        assert_eq!(failure.label(), r"a label \u{1b}[2J\nof two lines");
        let data = failure.data().expect("there is some");
        assert_eq!((data.len(), data.lines().count()), (text::MOST_DATA, 1));
        assert!(failure.to_string().ends_with(": no\n    way"), "{failure}");
    }

    #[test]
    fn a_label_and_data_that_panic_are_left_out() {
        struct Shy;
        impl Labeled for Shy {
            fn label(&self) -> &str {
                panic!("no label")
            }
            fn fmt_data(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("no data")
            }
        }
        let failure = Failure::of(&Shy, Cause::text("failed"), 3);
        assert_eq!(failure.to_string(), "a task without a label: failed");
    }
}
