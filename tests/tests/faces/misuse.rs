//! A misuse of prunner is blamed on the line of the program: on the one that says so below.

use prunner::{
    Context, Dict, Key, Labeled, Max, Merge, MessageLoop, ParallelTaskRunner, Priority, Report,
    Sum, TaskResult, dict, flush, global_lock, merge, post_task, post_task_with, task,
};
use serde::{Deserialize, Serialize};

use super::{Engine, report};

const NUMBER: Key<u64> = Key::new("number");
const NUMBER_AS_TEXT: Key<String> = Key::new("number");
const SUM: Key<Sum<u64>> = Key::new("sum");
const SUM_AS_MAX: Key<Max<u64>> = Key::new("sum");

/// The place at which the source says that `name` is blamed.
fn blamed(name: &str) -> String {
    let says_so = |line: &str| line.ends_with(&format!("// blamed: {name}"));
    let before = include_str!("misuse.rs").lines().position(says_so);
    format!("{}:{}:", file!(), before.expect("the source says so") + 1)
}

/// Each task that died did so where the source says.
fn assert_all_blamed(report: &Report, tasks: u64, name_of: impl Fn(&prunner::Failure) -> String) {
    assert_eq!((report.ledger().posted, report.ledger().dead), (tasks, tasks));
    assert_eq!(report.failures().len() as u64, tasks);
    for failure in report.failures() {
        let (name, place) = (name_of(failure), failure.place().unwrap_or("nowhere"));
        assert!(place.starts_with(&blamed(&name)), "{name}: {failure}");
    }
}

macro_rules! misuses {
    ($($name:ident: $misuse:expr,)*) => {
        $(
            #[task]
            fn $name() {
                let _ = $misuse;
            }
        )*

        const MISUSES: &[fn()] = &[$(|| post_task($name, ())),*];
    };
}

misuses! {
    second_lock: (global_lock(), global_lock()), // blamed: second_lock
    get_under_the_lock: (global_lock(), dict().get(NUMBER)), // blamed: get_under_the_lock
    with_under_the_lock: (global_lock(), dict().with(NUMBER, |_| ())), // blamed: with_under_the_lock
    contains_under_the_lock: (global_lock(), dict().contains(NUMBER)), // blamed: contains_under_the_lock
    insert_under_the_lock: (global_lock(), dict().insert(NUMBER, 1)), // blamed: insert_under_the_lock
    remove_under_the_lock: (global_lock(), dict().remove(NUMBER)), // blamed: remove_under_the_lock
    handle_get: dict().get(NUMBER_AS_TEXT), // blamed: handle_get
    handle_with: dict().with(NUMBER_AS_TEXT, |_| ()), // blamed: handle_with
    handle_contains: dict().contains(NUMBER_AS_TEXT), // blamed: handle_contains
    handle_insert: dict().insert(NUMBER_AS_TEXT, String::new()), // blamed: handle_insert
    handle_remove: dict().remove(NUMBER_AS_TEXT), // blamed: handle_remove
    lock_get: global_lock().get(NUMBER_AS_TEXT), // blamed: lock_get
    lock_get_ref: global_lock().get_ref(NUMBER_AS_TEXT).is_some(), // blamed: lock_get_ref
    lock_get_mut: global_lock().get_mut(NUMBER_AS_TEXT).is_some(), // blamed: lock_get_mut
    lock_insert: global_lock().insert(NUMBER_AS_TEXT, String::new()), // blamed: lock_insert
    lock_remove: global_lock().remove(NUMBER_AS_TEXT), // blamed: lock_remove
    lock_contains: global_lock().contains(NUMBER_AS_TEXT), // blamed: lock_contains
    lock_entry: global_lock().entry(NUMBER_AS_TEXT).or_default().len(), // blamed: lock_entry
    merge_of_two_types: (merge(SUM, Sum(1)), merge(SUM_AS_MAX, Max(1))), // blamed: merge_of_two_types
    post_of_another_state: post_task(Other::method, ()), // blamed: post_of_another_state
    post_with_of_another_state: post_task_with(Priority::Low, Other::method, ()), // blamed: post_with_of_another_state
    inside_of_a_merge: (merge(NESTED, Nested), merge(NESTED, Nested)),
}

struct Other;

impl Other {
    fn method(&self) {}
}

const NESTED: Key<Nested> = Key::new("nested");

#[derive(Clone, Serialize, Deserialize)]
struct Nested;

impl Merge for Nested {
    fn merge(&mut self, _: Self) {
        flush(); // blamed: inside_of_a_merge
    }
}

/// What comes after the last `::` of the label.
fn last_name(failure: &prunner::Failure) -> String {
    failure.label().rsplit("::").next().unwrap_or_default().to_string()
}

#[test]
fn functions_blame_their_caller() {
    for engine in Engine::all() {
        let error = engine.fails(|| {
            dict().insert(NUMBER, 7);
            MISUSES.iter().for_each(|post| post());
        });
        assert_all_blamed(report(&error), MISUSES.len() as u64, last_name);
    }
}

fn unregistered() {}

#[task]
fn post_unregistered() {
    post_task(unregistered, ()); // blamed: post_unregistered
}

#[test]
fn a_function_that_cannot_travel_is_blamed_on_its_post() {
    for engine in [Engine::Processes(1, 1), Engine::Processes(1, 4)] {
        let error = engine.fails(|| post_task(post_unregistered, ()));
        assert_all_blamed(report(&error), 1, last_name);
    }
}

/// What a handler does with its context.
#[derive(Clone, Copy, Debug, Labeled, Serialize, Deserialize)]
pub(crate) enum Deed {
    SecondLock,
    GetUnderTheLock,
    Get,
    Merge,
    Post,
    PostWith,
    FunctionMerge,
    FunctionLock,
    Flush,
    Dict,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Contexts;

impl ParallelTaskRunner for Contexts {
    type Task = Deed;

    fn begin(&self, cx: &mut Context<'_, Deed>) -> TaskResult {
        use Deed::*;
        cx.lock().insert(NUMBER, 7);
        cx.post_all([SecondLock, GetUnderTheLock, Get, Merge, Post, PostWith]);
        cx.post_all([FunctionMerge, FunctionLock, Flush, Dict]);
        Ok(())
    }

    fn run(&self, deed: &Deed, cx: &mut Context<'_, Deed>) -> TaskResult {
        match deed {
            Deed::SecondLock => {
                let _first = cx.lock();
                cx.lock(); // blamed: SecondLock
            }
            Deed::GetUnderTheLock => {
                let _first = cx.lock();
                cx.get(NUMBER); // blamed: GetUnderTheLock
            }
            Deed::Get => _ = cx.get(NUMBER_AS_TEXT), // blamed: Get
            Deed::Merge => {
                cx.merge(SUM, Sum(1));
                cx.merge(SUM_AS_MAX, Max(1)); // blamed: Merge
            }
            // There is no message loop here.
            Deed::Post => post_task(unregistered, ()), // blamed: Post
            Deed::PostWith => post_task_with(Priority::Low, unregistered, ()), // blamed: PostWith
            Deed::FunctionMerge => merge(SUM, Sum(1)), // blamed: FunctionMerge
            Deed::FunctionLock => drop(global_lock()), // blamed: FunctionLock
            Deed::Flush => flush(),                    // blamed: Flush
            Deed::Dict => _ = dict(),                  // blamed: Dict
        }
        Ok(())
    }
}

#[test]
fn a_context_blames_its_handler() {
    for engine in Engine::all() {
        let error = engine.start(Contexts).expect_err("all of them die");
        assert_all_blamed(report(&error), 10, |failure| failure.label().to_string());
    }
}

/// What `end` does with the dict, which it cannot change.
const ENDS: [(&str, fn()); 5] = [
    ("end_get", || _ = dict().get(NUMBER_AS_TEXT)), // blamed: end_get
    ("end_with", || dict().with(NUMBER_AS_TEXT, |_| ())), // blamed: end_with
    ("end_insert", || _ = dict().insert(NUMBER, 1)), // blamed: end_insert
    ("end_post", || post_task(unregistered, ())),   // blamed: end_post
    ("end_merge", || merge(SUM, Sum(1))),           // blamed: end_merge
];

#[test]
fn what_end_does_is_blamed_on_it() {
    for engine in [Engine::Threads(1), Engine::Processes(1, 1)] {
        for (name, end) in ENDS {
            let program = MessageLoop::new(|| _ = dict().insert(NUMBER, 7), end);
            let error = engine.start(program).expect_err("end panics");
            let start = format!("end failed: panicked at {}", blamed(name));
            assert!(error.is_end() && error.to_string().starts_with(&start), "{name}: {error}");
        }
    }
}

/// The methods of a [`Dict`] that somebody has.
#[test]
fn a_dict_blames_its_caller() {
    type Use = fn(&mut Dict);
    const USES: [(&str, Use); 10] = [
        ("dict_get", |dict| _ = dict.get(NUMBER_AS_TEXT)), // blamed: dict_get
        ("dict_get_ref", |dict| _ = dict.get_ref(NUMBER_AS_TEXT)), // blamed: dict_get_ref
        ("dict_get_mut", |dict| _ = dict.get_mut(NUMBER_AS_TEXT)), // blamed: dict_get_mut
        ("dict_insert", |dict| _ = dict.insert(NUMBER_AS_TEXT, String::new())), // blamed: dict_insert
        ("dict_remove", |dict| _ = dict.remove(NUMBER_AS_TEXT)), // blamed: dict_remove
        ("dict_contains", |dict| _ = dict.contains(NUMBER_AS_TEXT)), // blamed: dict_contains
        ("dict_default", |dict| _ = dict.entry(NUMBER_AS_TEXT).or_default()), // blamed: dict_default
        ("dict_or", |dict| _ = dict.entry(NUMBER_AS_TEXT).or_insert(String::new())), // blamed: dict_or
        ("dict_with", |dict| _ = dict.entry(NUMBER_AS_TEXT).or_insert_with(String::new)), // blamed: dict_with
        ("dict_modify", |dict| _ = dict.entry(NUMBER_AS_TEXT).and_modify(|_| ())), // blamed: dict_modify
    ];
    for engine in [Engine::Threads(1), Engine::Processes(1, 1)] {
        for (name, misuse) in USES {
            // Decoded only when it is asked for, and misused in the `begin` of another run, which notes it.
            let first = MessageLoop::new(|| _ = dict().insert(NUMBER, 7), || ());
            let there = engine.start(first).expect("nothing fails").into_dict();
            let there = std::sync::Mutex::new(there);
            let begin = move || misuse(&mut there.lock().expect("it is locked once"));
            let error = engine.start(MessageLoop::new(begin, || ())).expect_err("begin panics");
            let start = format!("begin failed, so end was not run: panicked at {}", blamed(name));
            assert!(error.to_string().starts_with(&start), "{name}: {error}");
        }
    }
}
