//! The places of worker processes, seen by their supervisor.

use std::time::Duration;

use super::child::{Stage, WorkerProcess};

/// The place of one worker process.
#[derive(Default)]
pub(super) struct Place {
    pub(super) process: Option<WorkerProcess>,
    /// How many workers were started here, not counting those that were unable to work.
    pub(super) started: u32,
    pub(super) given_up: bool,
}

impl Place {
    /// What is known of it at `now`, by the clock of leases.
    pub(super) fn describe(&self, now: Duration) -> String {
        let Self { started, given_up, process } = self;
        let process = process.as_ref().map_or("none".to_string(), |process| {
            format!(
                "pid {}, {:?}, heard {:?} ago, killed: {:?}, is sending: {}, has ended: {}",
                process.pid(),
                process.stage,
                now.saturating_sub(process.heard),
                process.killed,
                process.is_sending(),
                process.has_ended(),
            )
        });
        format!("{process} (started {started} times, given up: {given_up})")
    }

    pub(super) fn is_starting(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.stage != Stage::Ready)
    }

    /// Whether it has no worker and gets none.
    pub(super) fn is_lost(&self) -> bool {
        self.given_up && self.process.is_none()
    }

    /// Whether its worker is starting, or could be started.
    pub(super) fn is_expected(&self) -> bool {
        self.is_starting() || (self.process.is_none() && !self.given_up)
    }
}
