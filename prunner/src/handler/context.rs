//! What a handler does: post follow-ups, merge into the dict, lock it.

use std::fmt;

use crate::{
    dict::{Key, Merge, ScopeLock, Value},
    handler::{Effects, Publish},
    task::Priority,
};

/// The way from a handler to its run.
///
/// Posts and merges take effect together when the handler returns `Ok`. If it fails, none of them
/// happened.
///
/// ```
/// # use prunner::{Context, Key, Labeled, Sum, TaskResult};
/// # #[derive(Labeled)]
/// # enum Step { Read { blocks: u64 }, Parse(u64) }
/// const LIMIT: Key<u64> = Key::new("limit");
/// const BLOCKS: Key<Sum<u64>> = Key::new("blocks");
///
/// fn handler(step: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
///     match *step {
///         Step::Read { blocks } => {
///             // It may be stale: what others write under the lock comes later.
///             let limit = cx.get(LIMIT).unwrap_or(u64::MAX);
///             cx.post(Step::Parse(0));
///             cx.flush();
///             cx.post_all((1..blocks.min(limit)).map(Step::Parse));
///         }
///         Step::Parse(block) => {
///             println!("block {block} on worker {}", cx.worker());
///             cx.merge(BLOCKS, Sum(1));
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Context<'a, T> {
    pub(crate) effects: &'a mut Effects<T>,
    pub(crate) publish: &'a mut dyn Publish<T>,
}

impl<T> Context<'_, T> {
    /// Posts a follow-up task. It never blocks.
    #[inline]
    pub fn post(&mut self, task: T) {
        self.post_made(|| task);
    }

    /// Posts the follow-up task that `make` returns.
    #[inline(always)]
    pub(crate) fn post_made(&mut self, make: impl FnOnce() -> T) {
        if let Err(make) = self.effects.posts.push_made(make) {
            self.post_where_no_room_is(make());
        }
    }

    /// Posts a follow-up task with a priority.
    ///
    /// ```
    /// # use prunner::{Context, Labeled, Priority};
    /// # #[derive(Labeled)]
    /// # enum Step { Report, Cleanup }
    /// fn handler(cx: &mut Context<'_, Step>) {
    ///     cx.post_with(Priority::High, Step::Report);
    ///     cx.post_with(Priority::Low, Step::Cleanup);
    /// }
    /// ```
    pub fn post_with(&mut self, priority: Priority, task: T) {
        match priority {
            Priority::Normal => self.post(task),
            _ => {
                self.effects.posts.push_prioritised(priority, task);
                if self.effects.eager {
                    self.flush();
                }
            }
        }
    }

    /// Posts many follow-up tasks.
    #[inline]
    pub fn post_all(&mut self, tasks: impl IntoIterator<Item = T>) {
        tasks.into_iter().for_each(|task| self.post(task));
    }

    /// Merges `value` into an entry of the dict: the way to collect results, without a lock.
    ///
    /// ```
    /// # use prunner::{Context, Counter, Key, Labeled, Sum};
    /// # #[derive(Labeled)]
    /// # struct Line(String);
    /// const LINES: Key<Sum<u64>> = Key::new("lines");
    /// const WORDS: Key<Counter<String>> = Key::new("words");
    ///
    /// fn handler(line: &Line, cx: &mut Context<'_, Line>) {
    ///     cx.merge(LINES, Sum(1));
    ///     cx.merge(WORDS, line.0.split_whitespace().map(String::from).collect());
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// When another key with the same name has another type.
    #[inline]
    #[track_caller]
    pub fn merge<V: Value + Merge>(&mut self, key: Key<V>, value: V) {
        self.effects.merges.merge(key, value);
    }

    /// Waits for the dict's lock and takes it, for read-modify-write that no merge can express.
    ///
    /// On threads the guard gives it back; on worker processes the commit of this task does, which
    /// follows soon if others wait.
    ///
    /// ```
    /// # use prunner::{Context, Key, Labeled};
    /// # #[derive(Labeled)]
    /// # struct Visit(String);
    /// const SEEN: Key<std::collections::HashSet<String>> = Key::new("seen");
    ///
    /// fn handler(visit: &Visit, cx: &mut Context<'_, Visit>) {
    ///     let is_new = cx.lock().entry(SEEN).or_default().insert(visit.0.clone());
    ///     if is_new {
    ///         cx.post(Visit(format!("{}/next", visit.0)));
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// When this task holds the lock already.
    #[track_caller]
    pub fn lock(&mut self) -> ScopeLock {
        self.effects.dict.lock()
    }

    /// A copy of an entry as it was written under the lock or joined last: **it may be stale**, and
    /// merges that are not joined yet are missing. Under the [lock](Context::lock) it is exact.
    ///
    /// On threads it waits for the lock, but not for other workers' merges. On worker processes it does
    /// not take the lock: it asks the calling process for what is committed, after the commit of what
    /// this worker did before, if one is under way. What this worker has made of an entry since then, or
    /// has read under the lock, comes first.
    ///
    /// # Panics
    ///
    /// When this task holds the lock: read through the guard.
    #[track_caller]
    pub fn get<V: Value + Clone>(&self, key: Key<V>) -> Option<V> {
        self.effects.dict.peek(key)
    }

    /// Publishes what has been posted and merged so far, before the handler returns.
    ///
    /// For a long producer whose tasks should start while it goes on. The price: if it fails
    /// afterwards, what was published stays.
    pub fn flush(&mut self) {
        self.effects.merges.commit_pending();
        self.publish.publish(&mut self.effects.posts);
        self.effects.published = true;
    }

    /// Makes room and posts. Every post of an eager producer comes here: its first is published with the
    /// second, so that a run of a single task wakes no worker, and from then on each at once.
    ///
    /// The program's merges come last: if one panics and the program catches that, the post is made.
    #[cold]
    #[inline(never)]
    fn post_where_no_room_is(&mut self, task: T) {
        let Effects { posts, eager, .. } = &mut *self.effects;
        self.publish.make_room(posts);
        let posted = posts.push(task);
        assert!(posted.is_ok(), "room was made for one post at least");
        if *eager {
            // Also if the flush panics.
            posts.narrow();
            if self.effects.published || self.effects.posts.len() > 1 {
                self.flush();
                self.effects.posts.narrow();
            }
        }
    }

    /// The number of the worker that runs this handler, from 0 on.
    pub fn worker(&self) -> usize {
        self.effects.worker
    }
}

impl<T> fmt::Debug for Context<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("worker", &self.worker()).finish_non_exhaustive()
    }
}
