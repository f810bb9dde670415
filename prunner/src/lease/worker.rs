//! The loop of one worker: take a lease, run it, commit.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::{MutexGuard, RwLock};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Desk, Link,
    desk::{State, Taken},
    home::LeaseLost,
};
use crate::{
    context::Context,
    dict::Attempts,
    effects::{Effects, Publish},
    engine::{
        clock_cost,
        queue::{Buffer, Posts},
    },
    failure::{Cause, Failure, PanicWatch, drop_quietly},
    runner::ParallelTaskRunner,
    sync::Barrier,
    task::Labeled,
};

/// How long a worker runs a lease and its descendants before it commits.
const SLICE: Duration = Duration::from_millis(5);

/// How long it runs them at least when others wait for tasks: a commit costs some tens of microseconds.
const SHORT_SLICE: Duration = Duration::from_micros(200);

/// How long it keeps the dict's lock at least when others wait for it: handing it over costs as much.
const LOCK_SLICE: Duration = Duration::from_millis(1);

/// About how often it looks at the clock.
const LOOK_EVERY: Duration = Duration::from_micros(50);

/// What the workers of a process share: leases are worked on side by side, that of a suspect alone. If
/// the process dies of it, nothing else was running there that could have been the cause, or the victim.
pub(crate) type Room = RwLock<()>;

/// One worker, on the thread that it runs on.
pub(crate) struct Seat<'r, R: ParallelTaskRunner> {
    runner: &'r R,
    effects: Effects<R::Task>,
    office: Office<R::Task>,
    room: &'r Room,
    /// What a lease begins with: it renews limits.
    before_lease: &'r (dyn Fn() + Sync),
    _watch: PanicWatch,
}

/// Where the worker's follow-ups go.
struct Office<T> {
    desk: Arc<Desk<T>>,
    link: Arc<dyn Link>,
    buffer: Buffer<T>,
}

impl<'r, R: ParallelTaskRunner> Seat<'r, R>
where
    R::Task: Serialize + DeserializeOwned,
{
    /// Takes a seat at `desk`, whose dict is set.
    pub(crate) fn sit_down(
        runner: &'r R,
        desk: Arc<Desk<R::Task>>,
        link: Arc<dyn Link>,
        room: &'r Room,
        before_lease: &'r (dyn Fn() + Sync),
    ) -> Self {
        let merges = desk.dict().join(&Attempts::default(), Barrier::detect());
        let dict = desk.dict().of_this_thread();
        let mut buffer = Buffer::new();
        let mut effects = Effects::new(desk.worker, dict, buffer.open(), merges);
        effects.travels = true;
        let office = Office { desk, link, buffer };
        Self { runner, effects, office, room, before_lease, _watch: PanicWatch::begin() }
    }

    /// Works until the run is over, or is to be.
    pub(crate) fn work(mut self) {
        let desk = Arc::clone(&self.office.desk);
        while desk.take_lease(&*self.office.link) {
            let room = self.room;
            let goes_on = if desk.lock().is_suspect() {
                let _alone = room.write();
                self.work_on_lease(&desk)
            } else {
                let _beside_others = room.read();
                self.work_on_lease(&desk)
            };
            if !goes_on {
                break;
            }
        }
        // What is under way must arrive.
        desk.wait_for_commit(&mut desk.lock());
    }

    /// Runs the lease and commits it; false if there is no point in going on.
    fn work_on_lease(&mut self, desk: &Desk<R::Task>) -> bool {
        (self.before_lease)();
        let mut slice = Slice::begin();
        let mut state = desk.lock();
        if state.is_suspect()
            && let Some(token) = state.token
        {
            // Reading it may be what kills. What it is called follows when that is known.
            self.office.link.suspect(token, "a task", None);
        }
        loop {
            if state.lost || state.must_end() || slice.is_over(desk, &mut state) {
                break;
            }
            let Taken::Task(task) = desk.take(&mut state) else { break };
            state = self.run(task, desk, state, &mut slice);
        }
        desk.wait_for_commit(&mut state);
        if state.lost {
            state.abandon(desk.dict());
            return true;
        }
        desk.cut(&mut state, &*self.office.link)
    }

    /// Runs one task. The desk is free while its handler runs.
    fn run<'d>(
        &mut self,
        task: R::Task,
        desk: &'d Desk<R::Task>,
        mut state: MutexGuard<'d, State<R::Task>>,
        slice: &mut Slice,
    ) -> MutexGuard<'d, State<R::Task>> {
        state.started += 1;
        let known = catch_unwind(AssertUnwindSafe(|| state.counts.start(&task)));
        let measure = match known {
            Ok(measure) => measure,
            // Its label panicked.
            Err(payload) => {
                state.die_nameless(&failed(&task, Cause::panic(payload), desk.worker));
                drop_quietly(task);
                return state;
            }
        };
        if state.is_suspect()
            && let Some(token) = state.token
        {
            let Failure { label, data, .. } = failed(&task, Cause::text(""), desk.worker);
            self.office.link.suspect(token, &label, data);
        }
        drop(state);
        let started = measure.then(Instant::now);
        let (runner, effects, publish) = (self.runner, &mut self.effects, &mut self.office);
        let run = || runner.run(&task, &mut Context { effects, publish });
        let result = catch_unwind(AssertUnwindSafe(run));
        let took = started.map(|started| started.elapsed().saturating_sub(clock_cost()));
        let mut state = desk.lock();
        if let Some(took) = took {
            state.counts.measured(took);
        }
        match result {
            Ok(Ok(())) => self.finish(&mut state),
            Ok(Err(error)) => self.die(&task, Cause::from(error), &mut state, slice),
            Err(payload) if payload.is::<LeaseLost>() => self.give_up(&mut state),
            Err(payload) => self.die(&task, Cause::panic(payload), &mut state, slice),
        }
        drop_finished(task);
        state
    }

    /// The task is finished: what it did will be committed.
    fn finish(&mut self, state: &mut State<R::Task>) {
        self.office
            .buffer
            .drain(&mut self.effects.posts, |priority, task| state.accept(priority, task));
        self.effects.merges.end_attempt();
        if state.held {
            self.office.desk.dict().take_touched();
        }
        state.counts.finish();
        state.end_running();
    }

    /// The task has died: nothing that it did will be committed.
    #[cold]
    fn die(&mut self, task: &R::Task, cause: Cause, state: &mut State<R::Task>, slice: &mut Slice) {
        self.effects.discard();
        self.effects.merges.end_attempt();
        let dict = self.office.desk.dict();
        if state.held && dict.take_touched() {
            if state.ended > 0 {
                log::warn!("a task that had written under the lock failed: its lease starts again");
                state.start_again(dict);
                slice.restart();
                return;
            }
            dict.forget();
        }
        let failure = failed(task, cause, self.office.desk.worker);
        state.die_running(&failure);
    }

    /// The lease is gone, and with it everything that the task did.
    #[cold]
    fn give_up(&mut self, state: &mut State<R::Task>) {
        self.effects.discard();
        self.effects.merges.end_attempt();
        state.lost = true;
    }
}

impl<T: Labeled + Serialize + DeserializeOwned> Publish<T> for Office<T> {
    /// A flush: commits what has happened so far, and the task goes on under a lease of its own.
    fn publish(&mut self, posts: &mut Posts<T>) {
        if self.desk.dict().is_kept() {
            // A commit would let the lock go. What was posted is published when the handler ends.
            return;
        }
        let mut state = self.desk.lock();
        self.desk.wait_for_commit(&mut state);
        self.buffer.drain(posts, |priority, task| state.accept(priority, task));
        if !state.lost {
            self.desk.cut(&mut state, &*self.link);
        }
    }

    fn make_room(&mut self, posts: &mut Posts<T>) {
        self.buffer.make_room(posts);
    }
}

/// Decides how long a lease is worked on.
struct Slice {
    /// When the lease was taken up.
    begun: Instant,
    /// The same, without what it has waited for.
    start: Instant,
    last: Duration,
    /// Tasks between two looks at the clock, and until the next.
    step: u32,
    left: u32,
}

impl Slice {
    fn begin() -> Self {
        let now = Instant::now();
        Self { begun: now, start: now, last: Duration::ZERO, step: 1, left: 1 }
    }

    /// Measures anew how long the lease is worked on.
    fn restart(&mut self) {
        *self = Self { begun: self.begun, ..Self::begin() };
    }

    fn is_over<T>(&mut self, desk: &Desk<T>, state: &mut State<T>) -> bool {
        if mem::take(&mut state.waited) {
            self.restart();
        }
        let tasks_wanted = desk.tasks_wanted.load(Ordering::Relaxed) && state.has_surplus();
        let lock_wanted = desk.lock_wanted.load(Ordering::Relaxed) && state.held;
        self.left = self.left.saturating_sub(1);
        if self.left > 0 && !tasks_wanted && !lock_wanted {
            return false;
        }
        let elapsed = self.start.elapsed();
        if self.left == 0 {
            let each = (elapsed - self.last).as_nanos() / u128::from(self.step);
            self.step = (LOOK_EVERY.as_nanos() / each.max(1)).clamp(1, 1024) as u32;
            (self.last, self.left) = (elapsed, self.step);
        }
        elapsed >= SLICE
            || (tasks_wanted && self.begun.elapsed() >= SHORT_SLICE)
            || (lock_wanted && elapsed >= LOCK_SLICE)
    }
}

/// How `task` failed.
pub(crate) fn failed(task: &impl Labeled, cause: Cause, worker: usize) -> Failure {
    Failure::of(task, cause, worker)
}

/// A destructor that panics after its task has finished changes nothing.
#[inline]
fn drop_finished<T>(task: T) {
    if mem::needs_drop::<T>() {
        drop_quietly(task);
    }
}

impl<R: ParallelTaskRunner> std::fmt::Debug for Seat<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("worker", &self.office.desk.worker).finish_non_exhaustive()
    }
}
