//! The loop of one worker: take a task, run it, commit what it did.

use std::{
    any::Any,
    mem::{self, needs_drop},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread::{self, Builder, Scope},
};

use super::{
    label_counts::LabelCounts,
    search::search,
    shared::{Remote, Shared, WorkerResult},
    steal_throttle::StealThrottle,
};
use crate::{
    failure::{Cause, Failure, PanicWatch, drop_quietly, unless_it_panics},
    handler::{Context, Effects, ParallelTaskRunner, Publish},
    queue::{Posts, Queue, Stealer as _},
    stats::Stopwatch,
    sync::BarrierPair as _,
};

/// One worker, on the thread that it runs on.
pub(super) struct Worker<'scope, 'env, R: ParallelTaskRunner, Q: Queue<R::Task>> {
    pub(super) post_office: PostOffice<'scope, 'env, R, Q>,
    pub(super) effects: Effects<R::Task>,
    labels: LabelCounts,
    pub(super) throttle: StealThrottle,
    /// The task that runs, or is about to. It stays here while it runs, so that a panic, which leaves
    /// the handler's frames, does not take it along.
    pub(super) hand: Option<R::Task>,
    /// When the current task started, if it is measured.
    started: Option<Stopwatch>,
    /// Whether the destructor of a finished task has panicked.
    dropped: bool,
    _watch: PanicWatch,
    _stop_on_panic: StopOnPanic<'env, R, Q>,
}

/// Stops the run if the engine itself panics, so that none waits for this worker for ever; the
/// panic then leaves `start`.
struct StopOnPanic<'env, R: ParallelTaskRunner, Q: Queue<R::Task>>(&'env Shared<'env, R, Q>);

impl<R: ParallelTaskRunner, Q: Queue<R::Task>> Drop for StopOnPanic<'_, R, Q> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop.drain();
            self.0.sleepers.unpark_all();
        }
    }
}

/// Where a worker's tasks go: its queue, and the others that may have to be woken for them.
pub(super) struct PostOffice<'scope, 'env, R: ParallelTaskRunner, Q: Queue<R::Task>> {
    pub(super) shared: &'env Shared<'env, R, Q>,
    pub(super) scope: &'scope Scope<'scope, 'env>,
    pub(super) me: usize,
    pub(super) queue: Q,
    remote: &'env Remote<Q::Stealer>,
}

impl<'scope, 'env, R: ParallelTaskRunner, Q: Queue<R::Task>> Worker<'scope, 'env, R, Q> {
    /// Takes the seat of worker `me` on this thread.
    pub(super) fn sit_down(
        shared: &'env Shared<'env, R, Q>,
        scope: &'scope Scope<'scope, 'env>,
        me: usize,
    ) -> Self {
        log::debug!("worker {me} starts");
        shared.sleepers.moved_in(me);
        let (queue, merges, remote) = shared.set_up(me);
        Self {
            post_office: PostOffice { shared, scope, me, queue, remote },
            effects: Effects::new(me, shared.dict.of_this_thread(), Posts::new(), merges),
            labels: LabelCounts::new(),
            throttle: StealThrottle::new(me),
            hand: None,
            started: None,
            dropped: false,
            _watch: PanicWatch::begin(),
            _stop_on_panic: StopOnPanic(shared),
        }
    }

    /// Runs `begin`, whose posts may start at once.
    pub(super) fn begin(&mut self) -> Result<(), Cause> {
        let shared = self.post_office.shared;
        self.effects.eager = true;
        let mut cx = Context { effects: &mut self.effects, publish: &mut self.post_office };
        let result = Cause::of(|| shared.runner.begin(&mut cx));
        self.effects.eager = false;
        // What it has merged may not go together with what it has flushed.
        let result = result.and_then(|()| self.effects.commit_pending());
        match result {
            Ok(()) => {
                self.post_office.commit_posts(&mut self.effects.posts, &mut self.hand);
                Ok(())
            }
            Err(cause) => {
                self.effects.discard();
                shared.stop.drain();
                Err(cause)
            }
        }
    }

    /// Works until the run is over.
    ///
    /// A panic leaves the loop with the task still in `hand`; a barrier against panics around
    /// each single task would cost more than a whole short task.
    pub(super) fn work(mut self) {
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.work_until_panic())) {
            self.recover(payload);
        }
        self.leave();
    }

    fn work_until_panic(&mut self) {
        let stop = &*self.post_office.shared.stop;
        loop {
            if self.hand.is_none() {
                self.post_office.queue.pop(&mut self.effects.posts, &mut self.hand);
            }
            if self.hand.is_none() {
                self.search();
            }
            let Some(task) = &self.hand else { return };
            if !stop.is_going() {
                return;
            }
            let measure = self.labels.start(task);
            if measure {
                self.started = Some(Stopwatch::start());
            }
            let runner = self.post_office.shared.runner;
            let publish = &mut self.post_office;
            let result = runner.run(task, &mut Context { effects: &mut self.effects, publish });
            if measure {
                self.measured();
            }
            match result {
                Ok(()) => self.finish(),
                Err(error) => self.die(Cause::from(error)),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn measured(&mut self) {
        if let (Some(started), Some(task)) = (self.started.take(), &self.hand) {
            self.labels.measured(task, started.elapsed());
        }
    }

    /// The task is finished: its effects are committed, and the next one comes into the hand.
    ///
    /// It is dropped before that: if its destructor panics it is dead, and none of its effects is true.
    #[inline(always)]
    fn finish(&mut self) {
        if needs_drop::<R::Task>() {
            let panics = SetOnPanic(&mut self.dropped);
            // If the destructor panics, the hand is empty all the same.
            self.hand = None;
            mem::forget(panics);
        } else {
            self.hand = None;
        }
        self.post_office.commit(&mut self.effects, &mut self.hand);
    }

    /// Goes on after a panic: of the handler, of the task's label, or of its destructor.
    #[cold]
    fn recover(&mut self, payload: Box<dyn Any + Send>) {
        if self.hand.is_some() {
            self.die(Cause::panic(payload));
        } else if mem::take(&mut self.dropped) {
            let label = self.labels.last_died();
            self.effects.discard();
            self.bury(Failure::new(label, None, Cause::panic(payload), self.post_office.me));
        } else {
            // The engine's own.
            resume_unwind(payload);
        }
    }

    /// None of the task's effects are committed; it is over.
    #[cold]
    fn die(&mut self, cause: Cause) {
        // A panic has skipped the second look at the clock. All of this asks the program for the label,
        // which may panic, too.
        unless_it_panics(|| self.measured());
        let Some(task) = self.hand.take() else { return };
        unless_it_panics(|| self.labels.died(&task));
        self.effects.discard();
        self.bury(Failure::of(&task, cause, self.post_office.me));
        drop_quietly(task);
    }

    /// Counts a dead task.
    fn bury(&mut self, failure: Failure) {
        let PostOffice { shared, remote, .. } = &self.post_office;
        shared.failures.add(failure);
        // The merges of finished tasks that cannot be joined: no answer of this run would be right.
        if self.effects.merges.is_broken() || shared.dict.is_broken() {
            shared.stop.drain();
        }
        self.effects.merges.end_attempt();
        remote.counts.count_dead();
    }

    /// Hands in what is left when the run is over.
    fn leave(mut self) {
        let shared = self.post_office.shared;
        // After an interrupt others may be parked: nothing will be posted for them any more.
        shared.sleepers.unpark_all();
        let mut left = 0;
        loop {
            if self.hand.is_none() {
                self.post_office.queue.pop(&mut self.effects.posts, &mut self.hand);
            }
            // One after the other, so that a long queue is not held twice.
            let Some(task) = self.hand.take() else { break };
            left += 1;
            drop_quietly(task);
        }
        log::debug!("worker {} stops", self.post_office.me);
        shared.report_result(WorkerResult { labels: self.labels, left });
    }

    /// Looks for a task elsewhere; the hand stays empty when the run is over.
    ///
    /// The own queue is empty and no task is held: this is the moment to turn idle.
    #[cold]
    #[inline(never)]
    pub(super) fn search(&mut self) {
        let shared = self.post_office.shared;
        shared.epochs.set_idle(self.post_office.me);
        shared.sleepers.begin_search();
        search(self);
    }
}

/// Sets a flag unless it is forgotten.
struct SetOnPanic<'a>(&'a mut bool);

impl Drop for SetOnPanic<'_> {
    fn drop(&mut self) {
        *self.0 = true;
    }
}

impl<'scope, 'env, R: ParallelTaskRunner, Q: Queue<R::Task>> PostOffice<'scope, 'env, R, Q> {
    /// Ends a task: commits its effects and takes the next one.
    ///
    /// Posts are counted before the task that posted them ends, and its merges are true before its
    /// follow-ups are published.
    #[inline(always)]
    fn commit(&mut self, effects: &mut Effects<R::Task>, hand: &mut Option<R::Task>) {
        if effects.posts.len() == 0 {
            effects.merges.end_attempt();
            return self.queue.pop(&mut effects.posts, hand);
        }
        self.remote.counts.count_posted(effects.posts.len());
        effects.merges.end_attempt();
        self.publish_and_take(&mut effects.posts, hand);
    }

    /// Publishes posts that are not counted yet, and takes the next task.
    fn commit_posts(&mut self, posts: &mut Posts<R::Task>, hand: &mut Option<R::Task>) {
        self.remote.counts.count_posted(posts.len());
        self.publish_and_take(posts, hand);
    }

    #[inline(always)]
    fn publish_and_take(&mut self, posts: &mut Posts<R::Task>, hand: &mut Option<R::Task>) {
        let several = posts.len() > 1;
        self.queue.commit(posts, hand);
        // A single post is usually the next task of this worker.
        if several {
            self.wake_for_posts();
        }
    }

    /// Wakes a worker if there is something to take and none looks for it.
    #[inline(always)]
    fn wake_for_posts(&mut self) {
        // Pairs with the heavy barrier of a worker that goes to sleep (H7).
        Q::BARRIER.light();
        if self.shared.sleepers.wanted() && self.remote.stealer.shows_work() {
            self.wake_one();
        }
    }

    /// Wakes one sleeper, which may mean to start it.
    #[cold]
    #[inline(never)]
    pub(super) fn wake_one(&mut self) {
        while let Some(worker) = self.shared.sleepers.take_sleeper() {
            self.queue.expect_thief();
            if self.shared.sleepers.unpark(worker) || self.start(worker) {
                return;
            }
        }
    }

    /// Starts `worker` on a thread of its own. If there is none to be had, the run goes on with the
    /// workers that it has.
    fn start(&self, worker: usize) -> bool {
        let (shared, scope) = (self.shared, self.scope);
        let started = Builder::new()
            .name(format!("prunner-{worker}"))
            .spawn_scoped(scope, move || Worker::sit_down(shared, scope, worker).search_first());
        if let Err(error) = &started {
            let lost = shared.sleepers.give_up_starting();
            log::warn!(
                "cannot start a thread for worker {worker}: {error}; going on with {} of {} workers",
                shared.workers() - lost,
                shared.workers()
            );
        }
        started.is_ok()
    }
}

impl<R: ParallelTaskRunner, Q: Queue<R::Task>> Publish<R::Task> for PostOffice<'_, '_, R, Q> {
    fn publish(&mut self, posts: &mut Posts<R::Task>) {
        if posts.len() > 0 {
            self.remote.counts.count_posted(posts.len());
            self.queue.publish(posts);
            self.wake_for_posts();
        }
    }

    fn make_room(&mut self, posts: &mut Posts<R::Task>) {
        self.queue.make_room(posts);
    }
}

impl<R: ParallelTaskRunner, Q: Queue<R::Task>> Worker<'_, '_, R, Q> {
    /// The life of a worker that was started because there was something to steal.
    fn search_first(mut self) {
        search(&mut self);
        match self.hand {
            Some(_) => self.work(),
            None => self.leave(),
        }
    }
}
