//! The loop of one worker: take a task, run it, commit what it did.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{self, Builder, Scope},
};

use super::{
    crew::{Crew, Outcome, Seat},
    queue::{Queue, Stealer as _},
    search::Pace,
    tally::{Place, Tally},
};
use crate::{
    context::Context,
    effects::{Effects, Publish},
    failure::{Cause, Failure, PanicWatch, drop_quietly},
    runner::ParallelTaskRunner,
    sync::Ordering,
    task::{Labeled, data_text},
};

/// One worker, on the thread that it runs on.
pub(super) struct Worker<'scope, 'env, R: ParallelTaskRunner, Q: Queue<R::Task>> {
    pub(super) post_office: PostOffice<'scope, 'env, R, Q>,
    effects: Effects<R::Task>,
    tally: Tally,
    pub(super) pace: Pace,
    /// The task whose handler runs. It stays here while it runs, so that a panic, which leaves the
    /// handler's frames, does not take it along.
    current: Option<R::Task>,
    /// The row of the running task.
    place: Option<Place>,
    /// The task to run next, if the last commit has given one.
    next: Option<R::Task>,
    _watch: PanicWatch,
    _mayday: Mayday<'env, R, Q>,
}

/// Stops the run if the engine itself panics, so that nobody waits for this worker for ever; the
/// panic then leaves `start`.
struct Mayday<'env, R: ParallelTaskRunner, Q: Queue<R::Task>>(&'env Crew<'env, R, Q>);

impl<R: ParallelTaskRunner, Q: Queue<R::Task>> Drop for Mayday<'_, R, Q> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop.drain();
            self.0.sleepers.rouse_all();
        }
    }
}

/// Where a worker's tasks go: its queue, and the others that may have to be woken for them.
pub(super) struct PostOffice<'scope, 'env, R: ParallelTaskRunner, Q: Queue<R::Task>> {
    pub(super) crew: &'env Crew<'env, R, Q>,
    pub(super) scope: &'scope Scope<'scope, 'env>,
    pub(super) me: usize,
    pub(super) queue: Q,
    counted: Counted,
}

/// The worker's own copies of its counts.
#[derive(Debug, Default)]
struct Counted {
    posted: u64,
    finished: u64,
    dead: u64,
}

impl<'scope, 'env, R: ParallelTaskRunner, Q: Queue<R::Task>> Worker<'scope, 'env, R, Q> {
    /// Takes the seat of worker `me` on this thread.
    pub(super) fn sit_down(
        crew: &'env Crew<'env, R, Q>,
        scope: &'scope Scope<'scope, 'env>,
        me: usize,
    ) -> Self {
        log::debug!("worker {me} starts");
        crew.sleepers.moved_in(me);
        let Seat { queue, merges } = crew.take_seat(me);
        Self {
            post_office: PostOffice { crew, scope, me, queue, counted: Counted::default() },
            effects: Effects::new(merges),
            tally: Tally::new(),
            pace: Pace::new(me),
            current: None,
            place: None,
            next: None,
            _watch: PanicWatch::begin(),
            _mayday: Mayday(crew),
        }
    }

    /// Runs `begin`, whose posts may start at once.
    pub(super) fn begin(&mut self) -> Result<(), Cause> {
        let crew = self.post_office.crew;
        self.effects.eager = true;
        let result =
            Cause::of(|| crew.runner.begin(&mut context(&mut self.effects, &mut self.post_office)));
        self.effects.eager = false;
        match result {
            Ok(()) => {
                let next = self.post_office.commit(&mut self.effects);
                self.next = next;
                Ok(())
            }
            Err(cause) => {
                self.effects.discard();
                crew.stop.drain();
                Err(cause)
            }
        }
    }

    /// Works until the run is over.
    ///
    /// A panic leaves the loop with the task still in `current`; a barrier against panics around
    /// each single task would cost more than a whole short task.
    pub(super) fn work(mut self) {
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.work_until_panic())) {
            self.recover(Cause::panic(payload));
        }
        self.leave();
    }

    fn work_until_panic(&mut self) {
        while let Some(task) = self.next.take().or_else(|| self.find()) {
            if !self.post_office.crew.stop.is_going() {
                self.next = Some(task);
                return;
            }
            let task = &*self.current.insert(task);
            let (place, clock) = self.tally.start(task);
            self.place = Some(place);
            let crew = self.post_office.crew;
            let result =
                crew.runner.run(task, &mut context(&mut self.effects, &mut self.post_office));
            if let Some(start) = clock {
                self.tally.measured(place, start.elapsed());
            }
            match result {
                Ok(()) => self.finish(),
                Err(error) => self.die(Cause::from(error)),
            }
        }
    }

    /// The task's effects become true, then it counts as finished.
    #[inline(always)]
    fn finish(&mut self) {
        self.next = self.post_office.commit(&mut self.effects);
        self.post_office.count_finished();
        drop(self.current.take());
    }

    /// None of the task's effects become true; it is over.
    #[cold]
    fn die(&mut self, cause: Cause) {
        self.effects.discard();
        let Some(task) = self.current.take() else { return };
        if let Some(place) = self.place.take() {
            self.tally.died(place);
        }
        let PostOffice { crew, me, .. } = self.post_office;
        // A program's `Debug` may panic, too.
        let data = catch_unwind(AssertUnwindSafe(|| data_text(&task))).ok().flatten();
        let failure = Failure { label: task.label().to_string(), data, cause, worker: me };
        log::error!("task died on worker {me}: {failure}");
        crew.failures.lock().add(failure);
        self.post_office.count_dead();
        drop_quietly(task);
    }

    /// Goes on after a panic: of the handler, or of the destructor of a task that has finished.
    #[cold]
    fn recover(&mut self, cause: Cause) {
        match self.current {
            Some(_) => self.die(cause),
            None => log::error!("a task that had finished {cause} when it was dropped"),
        }
    }

    /// Hands in what is left when the run is over.
    fn leave(mut self) {
        let crew = self.post_office.crew;
        // After an interrupt others may be parked: nobody will post for them any more.
        crew.sleepers.rouse_all();
        let mut left = self.post_office.queue.drain();
        left.extend(self.next.take());
        log::debug!("worker {} stops", self.post_office.me);
        crew.hand_in(Outcome { tally: self.tally, left });
    }

    /// The next task of this worker's own queue or of another's; `None` when the run is over.
    #[inline(always)]
    fn find(&mut self) -> Option<R::Task> {
        match self.post_office.commit_nothing(&mut self.effects) {
            Some(task) => Some(task),
            None => self.search(),
        }
    }
}

/// What a handler gets.
#[inline(always)]
fn context<'a, R: ParallelTaskRunner, Q: Queue<R::Task>>(
    effects: &'a mut Effects<R::Task>,
    post_office: &'a mut PostOffice<'_, '_, R, Q>,
) -> Context<'a, R::Task> {
    let (crew, worker) = (post_office.crew, post_office.me);
    Context { effects, publish: post_office, dict: &crew.dict, worker }
}

impl<'scope, 'env, R: ParallelTaskRunner, Q: Queue<R::Task>> PostOffice<'scope, 'env, R, Q> {
    /// Makes a handler's effects true and takes the next task.
    ///
    /// The merges come first: whoever runs a follow-up must see them.
    #[inline(always)]
    fn commit(&mut self, effects: &mut Effects<R::Task>) -> Option<R::Task> {
        effects.merges.commit();
        let posts = effects.posts.len();
        if posts == 0 {
            return self.queue.commit(&mut effects.posts);
        }
        self.count_posted(posts);
        let next = self.queue.commit(&mut effects.posts);
        self.wake_for_posts();
        next
    }

    /// Takes the next task of the own queue.
    fn commit_nothing(&mut self, effects: &mut Effects<R::Task>) -> Option<R::Task> {
        debug_assert_eq!(effects.posts.len(), 0);
        self.queue.commit(&mut effects.posts)
    }

    /// Wakes a worker if there is something to take and nobody looks for it.
    #[inline(always)]
    fn wake_for_posts(&mut self) {
        // Pairs with the heavy barrier of a worker that goes to sleep (H7).
        self.crew.barrier.light();
        if self.crew.sleepers.wanted() && self.crew.stealers[self.me].shows_work() {
            self.wake_one();
        }
    }

    /// Wakes one sleeper, which may mean to start it.
    #[cold]
    #[inline(never)]
    pub(super) fn wake_one(&self) {
        while let Some(worker) = self.crew.sleepers.take_sleeper() {
            if self.crew.sleepers.rouse(worker) || self.start(worker) {
                return;
            }
        }
    }

    /// Starts `worker` on a thread of its own. If there is none to be had, the run goes on with the
    /// workers that it has.
    fn start(&self, worker: usize) -> bool {
        let (crew, scope) = (self.crew, self.scope);
        let started = Builder::new()
            .name(format!("prunner-{worker}"))
            .spawn_scoped(scope, move || Worker::sit_down(crew, scope, worker).search_first());
        if let Err(error) = &started {
            let lost = crew.sleepers.give_up_starting();
            log::warn!(
                "cannot start a thread for worker {worker}: {error}; going on with {} of {} workers",
                crew.workers() - lost,
                crew.workers()
            );
        }
        started.is_ok()
    }

    fn count_posted(&mut self, posts: usize) {
        self.counted.posted += posts as u64;
        self.crew.counts[self.me].posted.store(self.counted.posted, Ordering::Release);
    }

    #[inline(always)]
    fn count_finished(&mut self) {
        self.counted.finished += 1;
        self.crew.counts[self.me].finished.store(self.counted.finished, Ordering::Release);
    }

    fn count_dead(&mut self) {
        self.counted.dead += 1;
        self.crew.counts[self.me].dead.store(self.counted.dead, Ordering::Release);
    }
}

impl<R: ParallelTaskRunner, Q: Queue<R::Task>> Publish<R::Task> for PostOffice<'_, '_, R, Q> {
    fn publish(&mut self, effects: &mut Effects<R::Task>) {
        effects.merges.commit();
        effects.published = true;
        let posts = effects.posts.len();
        if posts > 0 {
            self.count_posted(posts);
            self.queue.publish(&mut effects.posts);
            self.wake_for_posts();
        }
    }
}

impl<R: ParallelTaskRunner, Q: Queue<R::Task>> Worker<'_, '_, R, Q> {
    /// The life of a worker that was started because there was something to steal.
    fn search_first(mut self) {
        match self.search_as_searcher() {
            None => self.leave(),
            task => {
                self.next = task;
                self.work();
            }
        }
    }
}
