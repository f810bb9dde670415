//! Where a thread has panicked last.

use std::{
    cell::Cell,
    panic::{self, PanicHookInfo},
    sync::Once,
    thread,
};

use super::NO_TEXT;
use crate::text;

thread_local! {
    /// Whether this thread runs handlers: its panics are noted.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// Where this thread panicked last, and with which text.
    static PLACE: Cell<Option<(String, String)>> = const { Cell::new(None) };
}

/// The place of the panic with this text, if that was the last one of this thread.
///
/// A panic that was caught and resumed somewhere else is not seen by the hook: the last place that it
/// noted is then that of another panic.
pub(super) fn take_place(text: &str) -> Option<String> {
    PLACE.take().filter(|(_, noted)| noted == text).map(|(place, _)| place)
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

fn wrap_hook() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if WATCHED.get() {
            PLACE.set(info.location().map(|place| (place.to_string(), text_of(info))));
        }
        hook(info);
    }));
}

fn text_of(info: &PanicHookInfo<'_>) -> String {
    text::message(info.payload_as_str().unwrap_or(NO_TEXT))
}
