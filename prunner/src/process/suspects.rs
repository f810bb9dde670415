//! Tasks whose workers die or are lost: what they are called, and what is said of them when they are dead.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use crate::{
    broker::{Lease, MOST_CRASHES, Token},
    failure::{Cause, Failure, FailureLog},
};

/// A lease of a seat.
pub(super) struct SeatLease {
    pub(super) token: Token,
    /// Whether its task may be deadly: then it runs alone in its process.
    pub(super) is_suspect: bool,
    /// Its only task, if it is one that may be dead soon.
    endangered: Option<Endangered>,
    /// Whether all of it was run: its commit has come, and could not be applied yet.
    pub(super) ended: bool,
}

/// Without the task's data, which may be long.
impl fmt::Debug for SeatLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeatLease")
            .field("token", &self.token)
            .field("is_suspect", &self.is_suspect)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// A task that has lost workers.
struct Endangered {
    task: Vec<u8>,
    /// How many workers it has killed.
    crashes: u32,
    /// How often it was interrupted.
    interruptions: u32,
    /// What its worker calls it, from the moment on in which it begins with it.
    name: Option<Name>,
}

/// The label of a task and its data.
type Name = (String, Option<String>);

impl SeatLease {
    pub(super) fn of(lease: &Lease) -> Self {
        let batch = &lease.batch;
        let is_endangered = batch.suspect || (batch.interruptions > 0 && batch.tasks.len() == 1);
        let task = batch.tasks.iter().next().and_then(Result::ok).filter(|_| is_endangered);
        let endangered = task.map(|task| Endangered {
            task: task.to_vec(),
            crashes: batch.crashes,
            interruptions: batch.interruptions,
            name: None,
        });
        Self { token: lease.token, is_suspect: batch.suspect, endangered, ended: false }
    }

    /// The lease that goes on when this one is committed: its task goes on running.
    pub(super) fn kept(self, keep: &Lease) -> Self {
        let name = self.endangered.and_then(|endangered| endangered.name);
        let mut kept = Self::of(keep);
        if let Some(endangered) = &mut kept.endangered {
            endangered.name = name;
        }
        kept
    }

    /// Notes what its worker calls its task.
    pub(super) fn name(&mut self, label: String, data: Option<String>) {
        if let Some(endangered) = &mut self.endangered {
            endangered.name = Some((label, data));
        }
    }

    /// Whether it is a suspect that runs, and then nothing else does in its process. The worker says so
    /// before it begins: one that was killed before that, by whatever, says nothing about the task.
    pub(super) fn is_running_suspect(&self) -> bool {
        let named = self.endangered.as_ref().is_some_and(|endangered| endangered.name.is_some());
        self.is_suspect && named && !self.ended
    }
}

/// What is said of tasks that have lost workers.
#[derive(Debug)]
pub(super) struct Obituaries {
    most_interruptions: u32,
    killers: HashMap<Vec<u8>, Killer>,
    /// What notes that tasks have died. The workers themselves have no log.
    pub(super) log: Arc<FailureLog>,
}

/// A task that has lost workers.
#[derive(Clone, Debug)]
pub(crate) struct Killer {
    /// The task, as bytes.
    pub(crate) task: Vec<u8>,
    /// What is said of it if it dies of this.
    pub(crate) failure: Failure,
    /// How many tasks of these bytes are dead because of it.
    pub(crate) dead: u64,
}

impl Obituaries {
    pub(super) fn new(most_interruptions: u32) -> Self {
        Self { most_interruptions, killers: HashMap::new(), log: Arc::default() }
    }

    /// Notes that a lease is released as crashed: `how` its worker died.
    pub(super) fn crashed(&mut self, lease: &SeatLease, worker: usize, how: &str) {
        let Some(Endangered { crashes, .. }) =
            lease.endangered.as_ref().filter(|_| lease.is_suspect)
        else {
            return;
        };
        // Saturating: the count came from a worker.
        let crashes = crashes.saturating_add(1);
        let text = format!("killed its worker {crashes} times: {how}");
        self.note(lease, worker, text, crashes >= MOST_CRASHES);
    }

    /// Notes that a lease is released as interrupted, or has expired: `how` its worker was lost.
    pub(super) fn interrupted(&mut self, lease: &SeatLease, worker: usize, how: &str) {
        let Some(Endangered { interruptions, .. }) = lease.endangered.as_ref() else { return };
        let interruptions = interruptions.saturating_add(1);
        let text = format!("{}: {how}", interrupted(interruptions));
        self.note(lease, worker, text, interruptions > self.most_interruptions);
    }

    fn note(&mut self, lease: &SeatLease, worker: usize, text: String, dead: bool) {
        let Some(Endangered { task, name, .. }) = &lease.endangered else { return };
        // It may be lost before its worker has said what it is called: an earlier one has, perhaps.
        let known = self.killers.get(task).map(|killer| {
            let Failure { label, data, .. } = &killer.failure;
            (label.clone(), data.clone())
        });
        let name = name.clone().or(known);
        let (label, data) = name.unwrap_or_else(|| ("a task".into(), None));
        let failure = Failure::new(label, data, Cause::text(text), worker);
        if dead {
            self.log.add("task died", &failure);
        }
        let killer = self.killers.entry(task.clone()).or_insert_with(|| Killer {
            task: task.clone(),
            failure: failure.clone(),
            dead: 0,
        });
        killer.failure = failure;
        killer.dead += u64::from(dead);
    }

    pub(super) fn into_killers(self) -> Vec<Killer> {
        self.killers.into_values().collect()
    }
}

/// What a task dies of that was interrupted too often.
pub(super) fn interrupted(times: u32) -> String {
    format!("its workers were killed from outside or lost their lease {times} times")
}

/// How a worker has lost a lease.
pub(super) fn lost(lease: Duration) -> String {
    format!(
        "it said nothing for its lease of {lease:?}, because it was stopped or the machine is overloaded; \
         a longer Runner::lease helps"
    )
}
