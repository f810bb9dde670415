//! The places of worker processes, seen by their supervisor.

use std::time::Duration;

use super::{
    child::{Stage, WorkerProcess},
    death::Death,
};

/// So many crashes of one worker after the other, before any of them was ready, are the program's own.
const MOST_EARLY_CRASHES: u32 = 5;

/// The place of one worker process.
#[derive(Default)]
pub(super) struct Place {
    pub(super) process: Option<WorkerProcess>,
    /// How many workers were started here, not counting those that were unable to work.
    pub(super) started: u32,
    pub(super) given_up: bool,
    /// Workers that have crashed before they were ready, one after the other.
    early_crashes: u32,
}

impl Place {
    /// Notes that the worker is ready.
    pub(super) fn became_ready(&mut self) {
        self.early_crashes = 0;
    }

    /// Notes that a worker has ended before it was ready; returns whether the next one would be no better.
    pub(super) fn ended_early(&mut self, death: &Death) -> bool {
        self.early_crashes += u32::from(death.is_crash());
        death.is_final() || self.early_crashes >= MOST_EARLY_CRASHES
    }

    /// What is known of it at `now`, by the clock of leases.
    pub(super) fn describe(&self, now: Duration) -> String {
        let Self { started, given_up, process, .. } = self;
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
