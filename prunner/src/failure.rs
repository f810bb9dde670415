//! How a task died.

use std::{any::Any, cell::Cell, fmt, panic, sync::Once, thread};

use serde::{Deserialize, Serialize};

use crate::{
    runner::TaskError,
    task::{Labeled, data_text},
};

/// How a task died: what it was and what went wrong.
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
    pub(crate) cause: Cause,
    pub(crate) worker: usize,
}

impl Failure {
    pub(crate) fn new(
        label: impl Into<String>,
        data: Option<String>,
        cause: Cause,
        worker: usize,
    ) -> Self {
        Self { label: label.into(), data, cause, worker }
    }

    /// How `task` died. Its label and its data are the program's and may panic, too.
    pub(crate) fn of(task: &impl Labeled, cause: Cause, worker: usize) -> Self {
        let label = unless_it_panics(|| task.label().to_string());
        let label = label.unwrap_or_else(|| "a task without a label".to_string());
        let data = unless_it_panics(|| data_text(task)).flatten();
        Self::new(label, data, cause, worker)
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
        &self.cause.message
    }

    /// Whether the handler panicked.
    pub fn is_panic(&self) -> bool {
        self.cause.panicked
    }

    /// Where the handler panicked: file, line and column. `None` for an error, and for a panic when
    /// the program has replaced the panic hook after the run started.
    pub fn place(&self) -> Option<&str> {
        self.cause.place.as_deref()
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
        write!(f, ": {}", self.cause)
    }
}

/// Why a handler, `begin` or `end` did not return `Ok`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cause {
    message: String,
    panicked: bool,
    place: Option<String>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.panicked {
            f.write_str("panicked")?;
            if let Some(place) = &self.place {
                write!(f, " at {place}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl Cause {
    /// What the engine itself has to say.
    pub(crate) fn text(message: impl Into<String>) -> Self {
        Self { message: message.into(), panicked: false, place: None }
    }

    /// Runs `f`, a hook of the program or a handler, and tells why it failed.
    pub(crate) fn of(f: impl FnOnce() -> Result<(), TaskError>) -> Result<(), Self> {
        // Also the error's own `Display` may panic.
        let told = || f().map_err(Self::from);
        panic::catch_unwind(panic::AssertUnwindSafe(told))
            .unwrap_or_else(|payload| Err(Self::panic(payload)))
    }

    /// What a caught panic says.
    pub(crate) fn panic(payload: Box<dyn Any + Send>) -> Self {
        let message = text_of(&*payload);
        drop_quietly(payload);
        // A panic that was caught and resumed somewhere else is not seen by the hook: the last place
        // that it noted is then that of another panic.
        let place = PLACE.take().filter(|(_, text)| *text == message).map(|(place, _)| place);
        Self { message, panicked: true, place }
    }
}

impl From<TaskError> for Cause {
    /// What the error says. Its text and its destructor are the program's: a panic of the first is told
    /// instead, and one of the second must not come while the first unwinds.
    fn from(error: TaskError) -> Self {
        let text = panic::catch_unwind(panic::AssertUnwindSafe(|| error.to_string()));
        drop_quietly(error);
        match text {
            Ok(message) => Self { message, panicked: false, place: None },
            Err(payload) => Self::panic(payload),
        }
    }
}

/// The text of a panic.
fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("with a value that is not a text").to_string()
}

/// What `f` returns, which is code of the program, unless it panics.
pub(crate) fn unless_it_panics<O>(f: impl FnOnce() -> O) -> Option<O> {
    panic::catch_unwind(panic::AssertUnwindSafe(f)).map_err(drop_quietly).ok()
}

/// Drops a value of the program's whose destructor may panic, where a panic cannot be let through.
pub(crate) fn drop_quietly<T>(value: T) {
    let dropped = panic::catch_unwind(panic::AssertUnwindSafe(|| drop(value)));
    if let Err(payload) = dropped {
        // Also where nothing is logged: the payload must not be dropped.
        let text = Cause::panic_of_panic(payload);
        log::error!("a destructor panicked: {text}");
    }
}

impl Cause {
    /// The panic of a destructor; what *its* payload does when dropped is nobody's business.
    fn panic_of_panic(payload: Box<dyn Any + Send>) -> String {
        let text = text_of(&*payload);
        std::mem::forget(payload);
        text
    }
}

thread_local! {
    /// Whether this thread runs handlers: its panics are noted.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// Where this thread panicked last, and with which text.
    static PLACE: Cell<Option<(String, String)>> = const { Cell::new(None) };
}

/// While this lives, the places of this thread's panics are noted.
///
/// The payload that `catch_unwind` gives does not say where the panic was; only the panic hook is
/// told. So the hook is wrapped once for the process, and whatever hook there was is still called.
pub(crate) struct PanicWatch {
    outer: bool,
}

impl PanicWatch {
    pub(crate) fn begin() -> Self {
        static WRAP: Once = Once::new();
        // The hook cannot be changed by a thread that is panicking (a run inside a destructor).
        if !thread::panicking() {
            WRAP.call_once(wrap_hook);
        }
        Self { outer: WATCHED.replace(true) }
    }
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        WATCHED.set(self.outer);
    }
}

fn text_of_info(info: &panic::PanicHookInfo<'_>) -> String {
    info.payload_as_str().unwrap_or("with a value that is not a text").to_string()
}

fn wrap_hook() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if WATCHED.get() {
            let text = text_of_info(info);
            PLACE.set(info.location().map(|place| (place.to_string(), text)));
        }
        hook(info);
    }));
}
