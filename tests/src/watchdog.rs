//! Ends a test that is stuck where no gate can notice it.

use std::{
    process,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

/// While this lives, the process must get on in time.
#[derive(Debug)]
#[must_use = "the watchdog watches while it lives"]
pub struct Watchdog {
    progress: Sender<()>,
}

impl Watchdog {
    /// Aborts the process with a message if there is neither [progress](Watchdog::progress) nor the
    /// value's drop within `limit`.
    pub fn after(limit: Duration, what: &'static str) -> Self {
        let (progress, seen) = channel::<()>();
        thread::spawn(move || {
            loop {
                match seen.recv_timeout(limit) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        eprintln!("stuck: {what} did not get on for {limit:?}");
                        process::abort();
                    }
                }
            }
        });
        Self { progress }
    }

    /// The time starts again.
    pub fn progress(&self) {
        // Where the watching thread is gone, it has aborted the process.
        let _ = self.progress.send(());
    }
}
