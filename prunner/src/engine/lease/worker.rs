//! The loop of one worker: take a lease, run it, commit.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use parking_lot::MutexGuard;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Link, Slot,
    draft::UNREADABLE,
    home::LeaseLost,
    office::{Office, drop_finished},
    room::{Company, Room},
    slice::Slice,
    state::{Pick, State},
};
use crate::{
    broker::{Tasks, Token},
    dict::Attempts,
    failure::{Cause, Failure, PanicWatch, guarded},
    handler::{
        Context, Effects, ParallelTaskRunner,
        meter::{Meter, Start},
    },
    queue::Buffer,
    stats::Stopwatch,
    sync::Barrier,
    task::Labeled,
    text,
};

/// One worker, on the thread that it runs on.
pub(crate) struct Seat<'r, R: ParallelTaskRunner> {
    runner: &'r R,
    effects: Effects<R::Task>,
    office: Office<R::Task>,
    meter: Meter,
    /// The tasks of the lease, and up to which cut they are its tasks.
    roots: Tasks,
    cuts: u64,
    /// The lease, if its task has lost workers: if it loses one more, it is known what it is called.
    suspect: Option<Token>,
    room: &'r Room,
    /// How long a lease waits for room before it is given back to others that could start it at once.
    patience: Duration,
    /// What a lease begins with: it renews limits.
    before_lease: &'r (dyn Fn() + Sync),
    _watch: PanicWatch,
}

/// The shortest and the longest [patience](Seat::patience). It doubles each time, because the others may
/// have no room either.
const SHORT_PATIENCE: Duration = Duration::from_millis(1);
const LONG_PATIENCE: Duration = Duration::from_secs(1);

impl<'r, R: ParallelTaskRunner> Seat<'r, R>
where
    R::Task: Serialize + DeserializeOwned,
{
    /// Takes a seat at `slot`, whose dict is set.
    pub(crate) fn sit_down(
        runner: &'r R,
        slot: Arc<Slot>,
        link: Arc<dyn Link>,
        room: &'r Room,
        before_lease: &'r (dyn Fn() + Sync),
    ) -> Self {
        let merges = slot.dict().join(&Attempts::default(), Barrier::detect());
        let dict = slot.dict().of_this_thread();
        let mut buffer = Buffer::new();
        let mut effects = Effects::new(slot.worker(), dict, buffer.open(), merges);
        effects.travels = true;
        Self {
            runner,
            effects,
            office: Office::new(slot, link, buffer),
            meter: Meter::new(),
            roots: Tasks::new(),
            cuts: 0,
            suspect: None,
            room,
            patience: SHORT_PATIENCE,
            before_lease,
            _watch: PanicWatch::begin(),
        }
    }

    /// Works until the run is over, or is to be.
    pub(crate) fn work(mut self) {
        let (slot, link) = (Arc::clone(&self.office.slot), Arc::clone(&self.office.link));
        while slot.take_lease(&*link) {
            let suspect = slot.lock().is_suspect();
            let company = if suspect { Company::Alone } else { Company::BesideOthers };
            let (wanted_back, is_ending) = (|| slot.is_wanted_back(), || slot.is_ending());
            let stay = self.room.enter(company, self.patience, wanted_back, is_ending);
            let Some(_stay) = stay else {
                self.patience = (2 * self.patience).min(LONG_PATIENCE);
                slot.put_back(&mut slot.lock(), &*link);
                continue;
            };
            self.patience = SHORT_PATIENCE;
            if !self.work_on_lease(&slot) {
                break;
            }
        }
        // What is under way must arrive.
        slot.wait_for_commit(&mut slot.lock(), &*link);
    }

    /// Runs the lease and commits it; false if there is no point in going on.
    fn work_on_lease(&mut self, slot: &Slot) -> bool {
        (self.before_lease)();
        let mut slice = Slice::begin();
        let mut state = slot.lock();
        self.suspect = state.lease.token.filter(|_| state.is_endangered());
        if let Some(token) = self.suspect {
            // Reading it may be what kills. What it is called follows when that is known.
            MutexGuard::unlocked(&mut state, || self.office.link.suspect(token, "a task", None));
        }
        loop {
            while state.sending.is_answered() {
                slot.apply_answer(&mut state, &*self.office.link);
            }
            if state.lease.lost || state.must_end() || slice.is_over(slot, &mut state) {
                break;
            }
            self.catch_up(&state);
            let pick = state.pick(slot.batching);
            match pick {
                Pick::Nothing => break,
                Pick::Malformed => continue,
                Pick::Root(_) => {}
                Pick::Local(lane, end) => self.office.fetch(lane, end, &state),
            }
            slot.start_handler(&mut state);
            drop(state);
            state = self.run(pick, slot, &mut slice);
        }
        slot.wait_for_commit(&mut state, &*self.office.link);
        let goes_on = if state.lease.lost {
            slot.abandon(&mut state);
            true
        } else {
            slot.commit(&mut state, &*self.office.link)
        };
        drop(state);
        self.office.forget();
        goes_on
    }

    /// Takes in what was cut off meanwhile.
    #[inline]
    fn catch_up(&mut self, state: &State) {
        if self.cuts != state.cuts {
            self.cuts = state.cuts;
            self.roots = state.roots.tasks.clone();
        }
    }

    /// Runs one task. The slot is free meanwhile.
    fn run<'d>(&mut self, pick: Pick, slot: &'d Slot, slice: &mut Slice) -> MutexGuard<'d, State> {
        let task = match self.open(pick) {
            Ok(task) => task,
            Err(failure) => return self.die_uncounted(&failure, slot),
        };
        let start = match self.start(&task, slot) {
            Ok(start) => start,
            // Its label panicked.
            Err(cause) => {
                let failure = Failure::of(&task, cause, slot.worker());
                drop_finished(task);
                return self.die_uncounted(&failure, slot);
            }
        };
        if let Some(token) = self.suspect {
            let Failure { label, data, .. } = Failure::of(&task, Cause::text(""), slot.worker());
            self.office.link.suspect(token, &label, data);
        }
        let watch = start.measure.then(Stopwatch::start);
        let (runner, effects, publish) = (self.runner, &mut self.effects, &mut self.office);
        let run = || runner.run(&task, &mut Context { effects, publish });
        let result = catch_unwind(AssertUnwindSafe(run));
        let took = watch.map(Stopwatch::elapsed);
        let cause = match result {
            Ok(Ok(())) => match drop_contained(task) {
                Ok(()) => return self.finish(start, took, slot),
                Err(cause) => return self.die_dropped(cause, start, slot, slice),
            },
            Ok(Err(error)) => Cause::from(error),
            Err(payload) if payload.is::<LeaseLost>() => return self.give_up(task, slot),
            Err(payload) => Cause::panic(payload),
        };
        let failure = Failure::of(&task, cause, slot.worker());
        drop_finished(task);
        self.die(&failure, start, slot, slice)
    }

    /// The task that was picked, as a value.
    #[inline]
    fn open(&mut self, pick: Pick) -> Result<R::Task, Failure> {
        let office = &mut self.office;
        let bytes = match pick {
            Pick::Root(place) => self.roots.at(place),
            Pick::Local(..) => match office.fetched.take() {
                Some(task) => return Ok(task),
                None => &office.bytes,
            },
            Pick::Malformed | Pick::Nothing => unreachable!("nothing was picked"),
        };
        let slot = &office.slot;
        slot.payload
            .read(bytes)
            .map_err(|cause| Failure::new(UNREADABLE, None, cause, slot.worker()))
    }

    /// Notes that a task starts.
    #[inline]
    fn start(&mut self, task: &R::Task, slot: &Slot) -> Result<Start, Cause> {
        let id = guarded(|| task.label_id())?;
        let start = match self.meter.start(id) {
            Some(start) => start,
            None => {
                let label = guarded(|| text::label(task.label()))?;
                let place = slot.lock().done.labels.row(&label);
                self.meter.start_first(id, place)
            }
        };
        slot.label.store(start.row, Ordering::Relaxed);
        Ok(start)
    }

    /// The task is finished: what it did will be committed.
    #[inline]
    fn finish<'d>(
        &mut self,
        start: Start,
        took: Option<Duration>,
        slot: &'d Slot,
    ) -> MutexGuard<'d, State> {
        self.office.write(&mut self.effects.posts);
        let mut state = slot.lock_to_end_task();
        // First: it makes room for what it has posted.
        state.end_running();
        self.office.hand_over(&mut state);
        self.effects.merges.end_attempt();
        if state.lease.held {
            slot.dict().take_touched();
        }
        if let Some(took) = took {
            let next = state.done.labels.measured(start.row, took, self.meter.started(start.id));
            self.meter.measure_after(start.id, next);
        }
        state.done.labels.finish(start.row);
        state
    }

    /// The task has died of its destructor.
    #[cold]
    fn die_dropped<'d>(
        &mut self,
        cause: Cause,
        start: Start,
        slot: &'d Slot,
        slice: &mut Slice,
    ) -> MutexGuard<'d, State> {
        let label = slot.lock().done.labels.label(start.row).unwrap_or_default().to_string();
        self.die(&Failure::new(label, None, cause, slot.worker()), start, slot, slice)
    }

    /// The task has died: nothing that it did will be committed.
    #[cold]
    fn die<'d>(
        &mut self,
        failure: &Failure,
        start: Start,
        slot: &'d Slot,
        slice: &mut Slice,
    ) -> MutexGuard<'d, State> {
        let mut state = self.discard(slot);
        if state.lease.held && slot.dict().take_touched() {
            let start_again = state.done.ended > 0;
            if start_again {
                state.start_again();
                slice.restart();
            }
            MutexGuard::unlocked(&mut state, || {
                slot.dict().forget();
                if start_again {
                    log::warn!(
                        "a task that had written under the lock failed: its lease starts again"
                    );
                }
            });
            if start_again {
                return state;
            }
        }
        state.die_running(start.row, failure);
        state
    }

    /// The task has died before it could be counted.
    #[cold]
    fn die_uncounted<'d>(&mut self, failure: &Failure, slot: &'d Slot) -> MutexGuard<'d, State> {
        let mut state = slot.lock_to_end_task();
        state.die_uncounted(failure);
        state
    }

    /// The lease is gone, and with it everything that the task did.
    #[cold]
    fn give_up<'d>(&mut self, task: R::Task, slot: &'d Slot) -> MutexGuard<'d, State> {
        drop_finished(task);
        let mut state = self.discard(slot);
        state.lease.lost = true;
        state
    }

    /// Forgets what the running task has done.
    fn discard<'d>(&mut self, slot: &'d Slot) -> MutexGuard<'d, State> {
        self.effects.discard();
        let state = slot.lock_to_end_task();
        self.effects.merges.end_attempt();
        state
    }
}

/// Drops a task that has returned `Ok`, whose destructor may still make it fail.
#[inline]
fn drop_contained<T>(task: T) -> Result<(), Cause> {
    if mem::needs_drop::<T>() { guarded(|| drop(task)) } else { Ok(()) }
}

impl<R: ParallelTaskRunner> std::fmt::Debug for Seat<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("worker", &self.effects.worker).finish_non_exhaustive()
    }
}
