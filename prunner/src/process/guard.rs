//! What ends a run whose supervisor panics.

use std::{sync::Arc, thread};

use super::begin::Outside;
use crate::engine::stop::Stop;

/// Stops the run if its thread unwinds while this lives: `begin` would wait for ever.
///
/// Workers need no such guard: each is killed when the supervisor that has started it is dropped.
pub(super) struct StopOnPanic {
    pub(super) stop: Arc<Stop>,
    pub(super) outside: Arc<Outside>,
}

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.outside.fail("the thread that serves the worker processes has panicked");
            self.stop.drain();
        }
    }
}
