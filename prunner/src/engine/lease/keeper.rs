//! What must happen while handlers run: answers of the broker, renewals, limits, and giving away what
//! waits behind a long handler.
//!
//! Nothing here runs code of the program, or waits for anything that does: leases are renewed and limits
//! kept whatever that does.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    Link, Room, Slot,
    packer::Packer,
    sending::Reply,
    state::{Handler, State},
};
use crate::{
    broker::{Conflict, Lease, Lock, Read, Release, Token},
    engine::stop::Phase,
    settings::Terms,
};

/// How long a handler runs before what waits behind it is given to those who have nothing to do. Before
/// that its worker does it, between two tasks.
const PATIENCE: Duration = Duration::from_millis(1);

/// The keeper sleeps no longer, whatever a lease lasts.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// If the keeper wakes later than it wanted to by more than this, the process was stopped, or the machine:
/// that time is no handler's.
const LATE: Duration = Duration::from_millis(50);

/// The keeper of all workers of a process. It runs on a thread of its own, which reads what the broker
/// answers.
pub(crate) struct Keeper {
    slots: Vec<(Arc<Slot>, Watch)>,
    link: Arc<dyn Link>,
    packer: Packer,
    room: Arc<Room>,
    /// How often leases are renewed, and when they were last.
    every: Duration,
    renewed: Instant,
    /// How long a handler may run.
    most: Option<Duration>,
    /// When the keeper had done everything that was due, and for how long it wanted to sleep then.
    looked: Instant,
    slept: Duration,
}

/// What the keeper knows of the handler that it saw when it last looked at a worker.
#[derive(Debug)]
struct Watch {
    number: u64,
    /// When the keeper saw it first.
    seen: Instant,
    /// How long it has run while the process was stopped.
    stopped: Duration,
}

impl Watch {
    /// How long the handler runs by the keeper's own looks.
    fn seen_for(&self, now: Instant) -> Duration {
        now - self.seen
    }

    /// How long the handler has worked, if it is not waiting for the dict's lock.
    fn worked(&self, handler: &Handler, now: Instant) -> Option<Duration> {
        let runs = now.saturating_duration_since(handler.since?);
        let waits = handler.waits_since.map_or(Duration::ZERO, |since| now - since);
        Some(runs.saturating_sub(handler.waited + waits).saturating_sub(self.stopped))
    }
}

/// A handler runs longer than it may.
#[derive(Debug)]
pub(crate) struct Overdue {
    pub(crate) seat: u16,
    pub(crate) why: String,
}

impl Keeper {
    pub(crate) fn new(
        slots: Vec<Arc<Slot>>,
        link: Arc<dyn Link>,
        packer: Packer,
        room: Arc<Room>,
        terms: &Terms,
    ) -> Self {
        let now = Instant::now();
        let watched = |slot| (slot, Watch { number: 0, seen: now, stopped: Duration::ZERO });
        let slots = slots.into_iter().map(watched).collect();
        let every = terms.lease / 3;
        Self {
            slots,
            link,
            packer,
            room,
            every,
            renewed: now,
            most: terms.limits.task,
            looked: now,
            slept: LONGEST_SLEEP,
        }
    }

    fn slot(&self, seat: u16) -> Option<&Slot> {
        self.slots.get(usize::from(seat)).map(|(slot, _)| &**slot)
    }

    /// Leases have come.
    pub(crate) fn leased(&self, seat: u16, leases: Vec<Lease>) {
        let Some(slot) = self.slot(seat) else { return };
        let mut state = slot.lock();
        let going = state.phase == Phase::Going;
        let (kept, back) = if going { (leases, Vec::new()) } else { (Vec::new(), leases) };
        kept.into_iter().for_each(|lease| state.receive(lease));
        drop(state);
        for lease in back {
            self.link.release(seat, lease.token, Release::Unstarted);
        }
        slot.notify();
    }

    /// A commit was applied.
    pub(crate) fn committed(&self, seat: u16, token: Token) {
        self.answered(seat, token, Reply::Committed);
    }

    /// A commit was refused because its lease is gone.
    pub(crate) fn lost(&self, seat: u16, token: Token) {
        self.answered(seat, token, Reply::Lost);
    }

    /// A commit was based on entries that others have written meanwhile.
    pub(crate) fn conflict(&mut self, seat: u16, token: Token, conflict: Conflict) {
        self.answered(seat, token, Reply::Conflict(conflict));
        // Others wait for its turn to be over.
        self.packer.call(seat);
    }

    fn answered(&self, seat: u16, token: Token, reply: Reply) {
        if let Some(slot) = self.slot(seat) {
            slot.answered(token, reply);
        }
    }

    /// The lock is held, or the lease that asked is gone.
    pub(crate) fn locked(&self, seat: u16, lock: Lock) {
        let Some(slot) = self.slot(seat) else { return };
        slot.lock().question.lock = Some(lock);
        slot.notify();
    }

    /// An entry of the dict was read.
    pub(crate) fn read(&self, seat: u16, read: Read) {
        let Some(slot) = self.slot(seat) else { return };
        slot.lock().question.read = Some(read);
        slot.notify();
    }

    /// Leases are gone.
    pub(crate) fn gone(&self, tokens: &[Token]) {
        for (slot, _) in &self.slots {
            slot.lock().lose(tokens);
        }
    }

    /// Others wait.
    pub(crate) fn wanted(&self, tasks: bool, lock: bool) {
        for (slot, _) in &self.slots {
            slot.tasks_wanted.fetch_or(tasks, Ordering::Relaxed);
            slot.lock_wanted.fetch_or(lock, Ordering::Relaxed);
        }
        if tasks {
            self.room.look_again();
        }
    }

    /// Says that the run is over, or is to be.
    pub(crate) fn enter(&self, phase: Phase) {
        for (slot, _) in &self.slots {
            let mut state = slot.lock();
            if state.phase == Phase::Going {
                state.phase = phase;
            }
            let prefetched = state.take_prefetched();
            drop(state);
            slot.ending.store(true, Ordering::Relaxed);
            for token in prefetched {
                self.link.release(slot.seat, token, Release::Unstarted);
            }
            slot.notify();
        }
        self.room.look_again();
    }

    /// Does what is due; returns after which time there will be something again.
    ///
    /// # Errors
    ///
    /// When a handler runs longer than it may.
    pub(crate) fn tick(&mut self) -> Result<Duration, Overdue> {
        let now = Instant::now();
        let stopped = self.stopped_for(now);
        let mut next = self.every.min(LONGEST_SLEEP);
        for (slot, watch) in &mut self.slots {
            let mut state = slot.lock();
            watch_handler(watch, &state, now, stopped);
            if let Some(most) = self.most {
                next = next.min(time_left(slot, watch, &state, now, most)?);
            }
            if slot.is_wanted_back() && shed(slot, &mut state, watch, now, &mut self.packer) {
                next = next.min(PATIENCE);
            }
            let prefetched = if slot.is_wanted_back() && state.lease.token.is_some() {
                state.take_prefetched()
            } else {
                Vec::new()
            };
            drop(state);
            for token in prefetched {
                self.link.release(slot.seat, token, Release::Unstarted);
            }
        }
        if now - self.renewed >= self.every {
            self.renewed = now;
            self.renew();
        }
        next = next.min(self.every.saturating_sub(now - self.renewed));
        (self.looked, self.slept) = (Instant::now(), next.max(Duration::from_micros(100)));
        Ok(self.slept)
    }

    /// How long this process was stopped since the last look.
    fn stopped_for(&self, now: Instant) -> Duration {
        let late = (now - self.looked).saturating_sub(self.slept);
        if late > LATE { late } else { Duration::ZERO }
    }

    fn renew(&self) {
        let tokens: Vec<Token> = self
            .slots
            .iter()
            .flat_map(|(slot, _)| slot.lock().tokens().collect::<Vec<_>>())
            .collect();
        if !tokens.is_empty() {
            self.link.renew(tokens);
        }
    }

    /// What all workers are doing, to be read by a person when a run seems to be stuck.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::from("its workers:");
        for (slot, watch) in &self.slots {
            let (state, number) = (slot.lock(), slot.worker());
            let runs = watch.seen_for(Instant::now());
            let _ = write!(text, "\n  worker {number}: ");
            state.describe(&mut text);
            if state.is_running() {
                let _ = write!(text, ", its handler was seen {runs:.1?} ago");
            }
            if slot.is_wanted_back() {
                text.push_str(", tasks are wanted");
            }
        }
        text
    }
}

/// Takes in which handler runs now.
fn watch_handler(watch: &mut Watch, state: &State, now: Instant, stopped: Duration) {
    let number = state.handler.number;
    if !state.is_running() || number != watch.number {
        *watch = Watch { number, seen: now, stopped: Duration::ZERO };
        // It may have started before the process was stopped, or afterwards.
        let runs = state.handler.since.map_or(Duration::ZERO, |since| now - since.min(now));
        watch.stopped = stopped.min(runs);
    } else {
        watch.stopped += stopped;
    }
}

/// How long the running handler may go on, or a new one if none runs.
fn time_left(
    slot: &Slot,
    watch: &Watch,
    state: &State,
    now: Instant,
    most: Duration,
) -> Result<Duration, Overdue> {
    if !state.is_running() {
        return Ok(most);
    }
    let Some(worked) = watch.worked(&state.handler, now) else { return Ok(most) };
    if worked <= most {
        return Ok(most - worked);
    }
    let label = slot.label.load(Ordering::Relaxed);
    let label = state.done.labels.label(label).unwrap_or("a task that is being read");
    let why = format!("{label} ran for {worked:.1?}, longer than max_task_time allows ({most:?})");
    Err(Overdue { seat: slot.seat, why })
}

/// Has what waits behind a handler given to workers that have nothing. Returns whether to look again soon.
/// If not, nothing is there to be given before a lease comes or the handler ends; then its worker does
/// it, because the lease is old enough.
fn shed(slot: &Slot, state: &mut State, watch: &Watch, now: Instant, packer: &mut Packer) -> bool {
    if state.lease.token.is_none() {
        // The worker is about to take what is there.
        return state.has_prefetched();
    }
    if !state.is_running() || watch.seen_for(now) < PATIENCE {
        return true;
    }
    if !state.has_surplus() || state.lease.held || state.lease.lost {
        return false;
    }
    if state.sending.is_idle() || state.sending.is_answered() {
        packer.call(slot.seat);
    }
    true
}

impl State {
    /// What there is, in words.
    fn describe(&self, text: &mut String) {
        let stage = self.sending.stage;
        let local: usize = self.local.iter().map(|lane| lane.len()).sum();
        let _ = write!(
            text,
            "{:?}, lease {:?}, commit {stage:?}, {} tasks of the lease and {local} follow-ups wait, \
             {} leases in advance",
            self.phase,
            self.lease.token,
            self.roots.left(),
            self.count_prefetched()
        );
        for (what, is) in [
            ("the lease is lost", self.lease.lost),
            ("the dict is broken", self.broken),
            ("it holds the lock", self.lease.held),
            ("it waits for the lock", self.handler.waits_since.is_some()),
            ("it waits for an answer", self.question.asking),
            ("a handler runs", self.is_running()),
            ("tasks run one by one", self.lease.one_by_one),
        ] {
            if is {
                let _ = write!(text, ", {what}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    const SECOND: Duration = Duration::from_secs(1);

    fn watch(seen: Instant) -> Watch {
        Watch { number: 1, seen, stopped: Duration::ZERO }
    }

    /// A keeper without workers, which has just looked.
    fn keeper() -> Keeper {
        struct NoLink;
        impl Link for NoLink {
            fn want(&self, _: u16, _: Vec<Token>) {}
            fn commit(
                &self,
                _: u16,
                commit: crate::broker::Commit,
                _: Vec<Token>,
            ) -> crate::broker::Commit {
                commit
            }
            fn lock(&self, _: u16, _: Token) {}
            fn read(&self, _: u16, _: Token, _: &str, _: u64) {}
            fn release(&self, _: u16, _: Token, _: Release) {}
            fn renew(&self, _: Vec<Token>) {}
            fn suspect(&self, _: Token, _: &str, _: Option<String>) {}
            fn broken(&self, _: String) {}
        }
        let packer = Packer::new(|_| Ok(()));
        let terms = Settings::of_a_test(SECOND).terms();
        Keeper::new(Vec::new(), Arc::new(NoLink), packer, Arc::default(), &terms)
    }

    #[test]
    fn a_handler_works_while_it_does_not_wait_for_the_lock() {
        let start = Instant::now();
        let mut handler = Handler { number: 1, since: Some(start), ..Handler::default() };
        let now = start + 10 * SECOND;
        assert_eq!(watch(start).worked(&handler, now), Some(10 * SECOND));
        handler.waited = 3 * SECOND;
        assert_eq!(watch(start).worked(&handler, now), Some(7 * SECOND));
        handler.waits_since = Some(start + 8 * SECOND);
        assert_eq!(watch(start).worked(&handler, now), Some(5 * SECOND));
        handler.since = None;
        assert_eq!(watch(start).worked(&handler, now), None);
    }

    #[test]
    fn time_in_which_the_process_was_stopped_is_no_work() {
        let mut keeper = keeper();
        keeper.slept = SECOND;
        let at = |seconds: u32| keeper.looked + seconds * SECOND;
        let (early, late) = (at(1), at(61));
        assert_eq!(keeper.stopped_for(early), Duration::ZERO);
        assert_eq!(keeper.stopped_for(late), 60 * SECOND);
        let handler = Handler { number: 1, since: Some(keeper.looked), ..Handler::default() };
        let mut watch = watch(keeper.looked);
        watch.stopped += keeper.stopped_for(late);
        assert_eq!(watch.worked(&handler, late), Some(SECOND));
    }
}
