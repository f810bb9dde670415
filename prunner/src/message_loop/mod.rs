//! The message loop: plain functions are posted and run, without a type for the tasks.

pub(crate) mod call;
mod dict_handle;
mod frame;
pub(crate) mod registry;
pub(crate) mod task_fn;

pub use call::Call;
pub use dict_handle::{DictHandle, dict};

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use frame::{Frame, Here};
use registry::must_be_registered;
use task_fn::{LoopHook, State, TaskArgs, TaskFn};

use crate::{
    dict::{Dict, Key, Merge, ScopeLock, Value},
    failure::TaskResult,
    handler::{Context, ParallelTaskRunner},
    task::Priority,
};

/// A program whose tasks are calls of plain functions: see [`post_task`].
///
/// ```
/// use prunner::{Key, MessageLoop, Runner, Sum, dict, merge, post_task};
///
/// const SUM: Key<Sum<u64>> = Key::new("sum");
///
/// fn begin() {
///     for n in 1..=10 {
///         post_task(square, n);
///     }
/// }
/// fn square(n: u64) {
///     merge(SUM, Sum(n * n));
/// }
/// fn end() {
///     assert_eq!(dict().get(SUM), Some(Sum(385)));
/// }
///
/// Runner::new(MessageLoop::new(begin, end)).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
pub struct MessageLoop<S = ()> {
    begin: Hook,
    end: Hook,
    state: S,
}

/// `begin` or `end`, whose state is known when it is called.
type Hook = Box<dyn Fn(State<'_>) -> TaskResult + Send + Sync>;

impl MessageLoop {
    /// A message loop that begins and ends with these functions; each may return nothing or a
    /// [`TaskResult`].
    pub fn new<B, E, M, N>(begin: B, end: E) -> Self
    where
        B: LoopHook<M>,
        E: LoopHook<N>,
    {
        Self {
            begin: Box::new(move |state| begin.call(state)),
            end: Box::new(move |state| end.call(state)),
            state: (),
        }
    }

    /// Gives the loop a state: methods of it can be posted and be `begin` and `end`. Each worker
    /// has it once; a task is only a function and its arguments.
    ///
    /// ```
    /// use prunner::{Key, MessageLoop, Runner, Sum, dict, merge, post_task};
    ///
    /// const SUM: Key<Sum<u64>> = Key::new("sum");
    ///
    /// struct Scale { factor: u64 }
    ///
    /// impl Scale {
    ///     fn begin(&self) {
    ///         post_task(Scale::add, 2);
    ///         post_task(Scale::add, 3);
    ///     }
    ///     fn add(&self, n: u64) {
    ///         merge(SUM, Sum(self.factor * n));
    ///     }
    ///     fn end(&self) {
    ///         assert_eq!(dict().get(SUM), Some(Sum(50)));
    ///     }
    /// }
    ///
    /// let program = MessageLoop::new(Scale::begin, Scale::end).with_state(Scale { factor: 10 });
    /// Runner::new(program).start()?;
    /// # Ok::<(), prunner::Error>(())
    /// ```
    pub fn with_state<S: Send + Sync + 'static>(self, state: S) -> MessageLoop<S> {
        MessageLoop { begin: self.begin, end: self.end, state }
    }
}

impl<S: Send + Sync + 'static> ParallelTaskRunner for MessageLoop<S> {
    type Task = Call;

    fn begin(&self, cx: &mut Context<'_, Call>) -> TaskResult {
        let state = State::new(&self.state);
        Frame::running(cx, state).enter(|| (self.begin)(state))
    }

    #[inline]
    fn run(&self, call: &Call, cx: &mut Context<'_, Call>) -> TaskResult {
        let state = State::new(&self.state);
        Frame::running(cx, state).enter(|| call.run(state))
    }

    fn end(&self, dict: &Dict) -> TaskResult {
        let state = State::new(&self.state);
        Frame::ending(dict, state).enter(|| (self.end)(state))
    }
}

/// Only the state travels: a worker process runs neither `begin` nor `end`.
impl<S: Serialize> Serialize for MessageLoop<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.state.serialize(serializer)
    }
}

/// What comes out runs tasks; its `begin` and `end` are errors.
impl<'de, S: Deserialize<'de>> Deserialize<'de> for MessageLoop<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            begin: stayed_behind("begin"),
            end: stayed_behind("end"),
            state: S::deserialize(deserializer)?,
        })
    }
}

/// The hook of a message loop that was read from bytes.
fn stayed_behind(hook: &'static str) -> Hook {
    Box::new(move |_| {
        let why = "it did not travel with the state of the message loop";
        Err(format!("there is no `{hook}` in this process: {why}").into())
    })
}

impl<S: fmt::Debug> fmt::Debug for MessageLoop<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageLoop").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Posts a call of `function` with `args`: a follow-up of the task that runs on this thread.
///
/// `args` is the argument of a function of one argument, a tuple for one of several, `()` for one
/// of none. The function returns nothing or a [`TaskResult`]; it may be a method of the loop's
/// [state](MessageLoop::with_state), or a closure.
///
/// ```
/// # use prunner::{TaskResult, post_task};
/// fn fetch(url: String) -> TaskResult { Ok(()) }
/// fn add(a: u64, b: u64) {}
///
/// fn begin() {
///     post_task(fetch, "a.example".to_string());
///     post_task(add, (1, 2));
///     post_task(|n: u32| println!("{n}"), 3);
/// }
/// # prunner::Runner::new(prunner::MessageLoop::new(begin, || ())).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
///
/// # Panics
///
/// Outside a message loop's `begin` and tasks, for a method of another type than the loop's state,
/// and where tasks travel to other processes for a function that is not under [`task`](crate::task).
#[inline]
#[track_caller]
pub fn post_task<M, A: TaskArgs, F: TaskFn<M, A>>(function: F, args: A) {
    let here = Here::new();
    let frame = here.frame("post_task");
    frame.check_state::<M, A, F>();
    let mut cx = frame.context("post_task");
    if cx.effects.travels {
        return post_traveller(&mut cx, Priority::Normal, function, args);
    }
    cx.post_made(|| Call::new(function, args));
}

/// [`post_task`] with a priority.
///
/// ```
/// # use prunner::{MessageLoop, Priority, Runner, post_task_with};
/// fn report(page: u32) {}
/// fn clean_up() {}
///
/// fn begin() {
///     post_task_with(Priority::Low, clean_up, ());
///     post_task_with(Priority::High, report, 1);
/// }
/// # Runner::new(MessageLoop::new(begin, || ())).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
///
/// # Panics
///
/// As [`post_task`] does.
#[track_caller]
pub fn post_task_with<M, A: TaskArgs, F: TaskFn<M, A>>(priority: Priority, function: F, args: A) {
    let here = Here::new();
    let frame = here.frame("post_task_with");
    frame.check_state::<M, A, F>();
    let mut cx = frame.context("post_task_with");
    if cx.effects.travels {
        return post_traveller(&mut cx, priority, function, args);
    }
    cx.post_with(priority, Call::new(function, args));
}

/// Posts a call in a run whose tasks travel, where the function must be registered.
///
/// Cold and with a post of its own, so that on threads nothing of it is left but one comparison.
#[cold]
#[inline(never)]
#[track_caller]
fn post_traveller<M, A: TaskArgs, F: TaskFn<M, A>>(
    cx: &mut Context<'_, Call>,
    priority: Priority,
    function: F,
    args: A,
) {
    must_be_registered(Call::table_of::<M, A, F>());
    cx.post_with(priority, Call::new(function, args));
}

/// Merges `value` into an entry of the dict: [`Context::merge`] for functions.
///
/// ```
/// # use prunner::{Counter, Key, MessageLoop, Runner, merge, post_task};
/// const WORDS: Key<Counter<String>> = Key::new("words");
///
/// fn count(line: String) {
///     merge(WORDS, line.split_whitespace().map(String::from).collect());
/// }
/// # let begin = || post_task(count, "to be or not to be".to_string());
/// # let report = Runner::new(MessageLoop::new(begin, || ())).start()?;
/// # assert_eq!(report.dict().get(WORDS).map(|words| words.count("be")), Some(2));
/// # Ok::<(), prunner::Error>(())
/// ```
///
/// # Panics
///
/// Outside a message loop's `begin` and tasks.
#[inline]
#[track_caller]
pub fn merge<V: Value + Merge>(key: Key<V>, value: V) {
    Here::new().frame("merge").context("merge").merge(key, value);
}

/// Waits for the dict's lock and takes it: [`Context::lock`] for functions.
///
/// ```
/// # use std::collections::HashSet;
/// # use prunner::{Key, MessageLoop, Runner, global_lock, post_task};
/// const SEEN: Key<HashSet<u32>> = Key::new("seen");
///
/// fn visit(page: u32) {
///     // The guard lives to the end of this statement.
///     let is_new = global_lock().entry(SEEN).or_default().insert(page);
///     if is_new && page < 100 {
///         post_task(visit, 2 * page);
///         post_task(visit, 3 * page);
///     }
/// }
/// # Runner::new(MessageLoop::new(|| post_task(visit, 1), || ())).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
///
/// # Panics
///
/// Outside a message loop's `begin` and tasks, and when this task holds the lock already.
#[inline]
#[track_caller]
pub fn global_lock() -> ScopeLock {
    Here::new().frame("global_lock").context("global_lock").lock()
}

/// Publishes what has been posted and merged so far: [`Context::flush`] for functions.
///
/// ```
/// # use prunner::{MessageLoop, Runner, flush, post_task};
/// fn read(blocks: u32) {
///     for block in 0..blocks {
///         post_task(parse, block);
///         if block % 100 == 99 {
///             flush();
///         }
///     }
/// }
///
/// fn parse(block: u32) {}
/// # let report = Runner::new(MessageLoop::new(|| post_task(read, 1000), || ())).start()?;
/// # assert_eq!(report.ledger().finished, 1001);
/// # Ok::<(), prunner::Error>(())
/// ```
///
/// # Panics
///
/// Outside a message loop's `begin` and tasks.
#[track_caller]
pub fn flush() {
    Here::new().frame("flush").context("flush").flush();
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::{Runner, Sum, codec, task};

    const SUM: Key<Sum<u64>> = Key::new("sum");

    /// Runs a message loop on threads as worker processes run it.
    struct Travelling<S>(MessageLoop<S>);

    impl<S: Send + Sync + 'static> ParallelTaskRunner for Travelling<S> {
        type Task = Call;

        fn begin(&self, cx: &mut Context<'_, Call>) -> TaskResult {
            cx.effects.travels = true;
            self.0.begin(cx)
        }

        fn run(&self, call: &Call, cx: &mut Context<'_, Call>) -> TaskResult {
            cx.effects.travels = true;
            let bytes = codec::to_bytes(call)?;
            self.0.run(&codec::decode(&bytes)?, cx)
        }
    }

    #[task]
    fn add(n: u64) {
        merge(SUM, Sum(n));
    }

    fn unregistered(n: u64) {
        add(n);
    }

    struct Job {
        factor: u64,
    }

    #[task]
    impl Job {
        fn begin(&self) {
            post_task(add, 1);
            post_task(Job::split, (10, 100));
            post_task_with(Priority::High, Job::add, 1000);
        }

        #[task]
        fn split(&self, a: u64, b: u64) {
            post_task_with(Priority::Low, add, a);
            post_task(Job::add, b);
        }

        #[task]
        fn add(&self, n: u64) {
            add(self.factor * n);
        }

        #[task]
        fn post_others(&self, number: usize) {
            self.others()[number]();
        }

        /// Posts of what is not registered.
        fn others(&self) -> [fn(); 5] {
            [
                || post_task(unregistered, 1),
                || post_task(|n: u64| add(n), 1),
                || post_task(Job::unregistered, 1),
                || post_task_with(Priority::Low, unregistered, 1),
                || post_task_with(Priority::Normal, add as fn(u64), 1),
            ]
        }

        fn unregistered(&self, _: u64) {}
    }

    const NAMES: [&str; 5] = [
        "tests::unregistered",
        "{{closure}}",
        "Job::unregistered",
        "tests::unregistered",
        "fn(u64)",
    ];

    fn refusal(name: &str) -> [String; 2] {
        [
            format!(
                "{name}: tasks of this run travel to other processes, and it is not registered"
            ),
            "make it a function under #[task] (for a method put #[task] on the impl block, too)"
                .into(),
        ]
    }

    #[test]
    fn what_is_registered_may_be_posted_where_tasks_travel() -> Result<(), crate::Error> {
        let program = MessageLoop::new(Job::begin, || ()).with_state(Job { factor: 2 });
        let report = Runner::new(Travelling(program)).workers(2).start()?;
        assert_eq!(report.dict().get(SUM), Some(Sum(2211)));
        Ok(())
    }

    #[test]
    fn what_is_not_registered_is_refused_where_tasks_travel() {
        for (number, name) in NAMES.into_iter().enumerate() {
            let begin = move || post_task(Job::post_others, number);
            let program = MessageLoop::new(begin, || ()).with_state(Job { factor: 2 });
            let error = Runner::new(Travelling(program)).start().expect_err("the task panics");
            let report = error.report().expect("there was a run");
            let message = report.failures()[0].message();
            for part in refusal(name) {
                assert!(message.contains(&part), "{message}");
            }
        }
    }

    #[test]
    fn a_refused_post_leaves_nothing_behind() -> Result<(), crate::Error> {
        fn begin(job: &Job) {
            for (post, name) in job.others().into_iter().zip(NAMES) {
                let panic = catch_unwind(AssertUnwindSafe(post)).expect_err("it is refused");
                let text = panic.downcast::<String>().expect("the panic says why");
                assert!(refusal(name).iter().all(|part| text.contains(part)), "{text}");
            }
            post_task(add, 5);
        }
        let program = MessageLoop::new(begin, || ()).with_state(Job { factor: 2 });
        let report = Runner::new(Travelling(program)).start()?;
        assert_eq!(report.ledger().posted, 1);
        assert_eq!(report.dict().get(SUM), Some(Sum(5)));
        Ok(())
    }
}
