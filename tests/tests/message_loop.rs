//! Plain functions as tasks: what can be posted, and what they are told where they go wrong.

use std::{
    any::Any,
    num::ParseIntError,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use prunner::{
    Error, Key, Merge, MessageLoop, Priority, Runner, Sum, TaskResult, dict, flush, global_lock,
    merge, post_task, post_task_with, task,
};
use prunner_tests::{
    gate::{Gate, PATIENCE},
    notes::Notes,
    setting::Setting,
    watchdog::Watchdog,
};
use serde::{Deserialize, Serialize};

prunner_tests::watched!();

const SUM: Key<Sum<u64>> = Key::new("sum");
const COUNT: Key<u64> = Key::new("count");

/// What `f` says when it panics.
fn panic_of<O>(f: impl FnOnce() -> O) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).err().expect("it panics");
    text_of(&*payload)
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let constant = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
    constant.or_else(|| payload.downcast_ref().cloned()).expect("the payload is a text")
}

/// How the only task of a run died.
fn failure_of(handler: fn()) -> String {
    let error = Runner::new(MessageLoop::new(move || post_task(handler, ()), || ())).start();
    let report = error.expect_err("the task dies").into_report().expect("there was a run");
    assert_eq!(report.ledger().dead, 1);
    report.failures()[0].message().to_string()
}

#[test]
fn functions_of_any_number_of_arguments_are_posted() -> Result<(), Error> {
    fn add(n: u64) {
        merge(SUM, Sum(n));
    }
    fn none() {
        add(1);
    }
    fn two(a: u64, b: u8) {
        add(a + u64::from(b));
    }
    fn three(a: u64, b: String, c: Option<u64>) -> Result<(), ParseIntError> {
        add(a + b.parse::<u64>()? + c.unwrap_or(0));
        Ok(())
    }
    fn four(a: u64, b: u64, c: u64, d: [u64; 5]) -> TaskResult {
        add(a + b + c + d.iter().sum::<u64>());
        Ok(())
    }
    fn pair((a, b): (u64, u64)) {
        add(a * b);
    }
    fn begin() {
        post_task(none, ());
        post_task(add, 10);
        post_task(two, (100, 100));
        post_task(three, (1000, "1000".to_string(), Some(0)));
        post_task(four, (10_000, 0, 0, [10_000; 5]));
        post_task(pair, (1000, 1000));
        let captured = "three".to_string();
        post_task(move |n: u64| add(n * captured.len() as u64), 6_000_000);
    }
    for setting in Setting::all(&[1, 3]) {
        let report = setting.runner(MessageLoop::new(begin, || ())).start()?;
        assert_eq!(report.dict().get(SUM), Some(Sum(31_062_211)));
        assert_eq!(report.ledger().finished, 7);
    }
    Ok(())
}

#[test]
fn methods_of_the_state_are_posted() -> Result<(), Error> {
    struct Scale {
        factor: u64,
    }
    impl Scale {
        fn begin(&self) -> TaskResult {
            post_task(Scale::none, ());
            post_task(Scale::one, 10);
            post_task(Scale::two, (100, 0));
            post_task(free, 1000);
            Ok(())
        }
        #[task]
        fn none(&self) {
            merge(SUM, Sum(self.factor));
        }
        #[task]
        fn one(&self, n: u64) -> TaskResult {
            merge(SUM, Sum(n * self.factor));
            Ok(())
        }
        #[task]
        fn two(&self, a: u64, b: u64) {
            merge(SUM, Sum((a + b) * self.factor));
        }
        fn end(&self) {
            assert_eq!(dict().get(SUM), Some(Sum(111 * self.factor + 1000)));
        }
    }
    fn free(n: u64) {
        merge(SUM, Sum(n));
    }
    for setting in Setting::all(&[1, 3]) {
        let program = MessageLoop::new(Scale::begin, Scale::end).with_state(Scale { factor: 3 });
        assert_eq!(setting.runner(program).start()?.ledger().finished, 4);
    }
    Ok(())
}

#[test]
fn the_original_program_adds_up() -> Result<(), Error> {
    #[task]
    fn init(numbers: std::ops::Range<u64>) {
        for n in numbers {
            post_task(add_one, n);
        }
    }
    #[task]
    fn add_one(n: u64) {
        post_task(double, n + 1);
    }
    #[task]
    fn double(n: u64) {
        post_task(sum_up, n);
        post_task(sum_up, n);
    }
    #[task]
    fn sum_up(n: u64) {
        *global_lock().get_mut(COUNT).expect("begin has set it") += n;
    }
    fn begin() {
        dict().insert(COUNT, 0);
        post_task(init, 0..2000);
    }
    for setting in Setting::all(&[1, 2, 10]) {
        let report = setting.runner(MessageLoop::new(begin, || ())).start()?;
        assert_eq!(report.dict().get(COUNT), Some(4_002_000));
        assert_eq!(report.ledger().finished, 4 * 2000 + 1);
    }
    Ok(())
}

#[test]
fn the_dict_handle_reads_and_writes() -> Result<(), Error> {
    fn handler() {
        assert_eq!(dict().insert(COUNT, 1), None);
        assert_eq!(dict().insert(COUNT, 2), Some(1));
        assert_eq!(dict().get(COUNT), Some(2));
        assert_eq!(dict().remove(COUNT), Some(2));
        assert_eq!(dict().get(COUNT), None);
        assert_eq!(dict().insert(COUNT, 3), None);
    }
    let end = || assert_eq!(dict().get(COUNT), Some(3));
    Runner::new(MessageLoop::new(|| post_task(handler, ()), end)).start()?;
    Ok(())
}

#[test]
fn a_posted_priority_is_kept() -> Result<(), Error> {
    static RAN: Notes<u64> = Notes::new();
    fn begin() {
        post_task_with(Priority::Low, |n: u64| RAN.add(n), 3);
        post_task(|n: u64| RAN.add(n), 2);
        post_task_with(Priority::High, |n: u64| RAN.add(n), 1);
    }
    for setting in Setting::all(&[1]) {
        setting.runner(MessageLoop::new(begin, || ())).start()?;
        assert_eq!(RAN.take(), [1, 2, 3]);
    }
    Ok(())
}

#[test]
fn a_flush_starts_what_was_posted() -> Result<(), Error> {
    static RAN: Gate = Gate::new();
    fn handler() {
        let before = RAN.arrived();
        post_task(|| RAN.arrive(), ());
        flush();
        RAN.wait_for(before + 1);
    }
    for setting in Setting::all(&[2]) {
        setting.runner(MessageLoop::new(|| post_task(handler, ()), || ())).start()?;
    }
    Ok(())
}

/// Everything that only works inside a loop, by name.
fn calls() -> Vec<(&'static str, fn())> {
    vec![
        ("post_task", || post_task(|| (), ())),
        ("post_task_with", || post_task_with(Priority::High, || (), ())),
        ("merge", || merge(SUM, Sum(1))),
        ("global_lock", || drop(global_lock())),
        ("flush", flush),
        ("dict", || _ = dict().get(COUNT)),
    ]
}

#[track_caller]
fn assert_all_refused_here() {
    for (name, call) in calls() {
        let text = panic_of(call);
        assert!(text.starts_with(&format!("{name} called outside a message loop: ")), "{text}");
        // What `end_cannot_post_merge_or_lock` tries is not recommended either.
        assert_eq!(text.contains("`end`"), name == "dict", "{text}");
    }
}

#[test]
fn calls_outside_a_run_are_refused() -> Result<(), Error> {
    assert_all_refused_here();
    Runner::new(MessageLoop::new(|| post_task(|| (), ()), || ())).workers(1).start()?;
    assert_all_refused_here();
    Ok(())
}

#[test]
fn calls_on_a_thread_of_the_programs_own_are_refused() {
    let message = failure_of(|| match thread::spawn(|| post_task(|| (), ())).join() {
        Ok(()) => unreachable!("there is no loop on that thread"),
        Err(payload) => panic!("{}", text_of(&*payload)),
    });
    assert!(message.starts_with("post_task called outside a message loop: "), "{message}");
}

#[test]
fn end_cannot_post_merge_or_lock() {
    for (name, call) in calls().into_iter().filter(|(name, _)| *name != "dict") {
        let error = Runner::new(MessageLoop::new(|| (), call)).start().expect_err("end fails");
        assert!(error.is_end());
        let said = format!("{name} called in `end`: no task runs any more");
        assert!(error.to_string().contains(&said), "{error}");
    }
}

struct Clerk;

impl Clerk {
    fn file(&self, _: u64) {
        unreachable!("there is no clerk");
    }
    fn open(&self) {
        unreachable!("there is no clerk");
    }
}

#[test]
fn a_method_of_another_state_is_refused_by_name() {
    let message = failure_of(|| post_task(Clerk::file, 1));
    assert!(message.starts_with("cannot post "), "{message}");
    assert!(message.contains("Clerk::file: it is a method of message_loop::Clerk"), "{message}");
    assert!(message.contains("with_state("), "{message}");
}

#[test]
fn a_begin_or_end_of_another_state_is_refused() {
    let begin = Runner::new(MessageLoop::new(Clerk::open, || ())).start().expect_err("no clerk");
    let end = Runner::new(MessageLoop::new(|| (), Clerk::open)).start().expect_err("no clerk");
    assert!(begin.is_begin() && end.is_end());
    for error in [begin, end] {
        assert!(error.to_string().contains("a method of message_loop::Clerk"), "{error}");
    }
}

#[test]
fn functions_that_fail_are_told_by_name_and_arguments() {
    fn parse(text: String, times: u64) -> Result<(), ParseIntError> {
        text.parse::<u64>().map(|n| merge(SUM, Sum(n * times)))
    }
    let begin = || post_task(parse, ("7x".to_string(), 2));
    let error = Runner::new(MessageLoop::new(begin, || ())).start().expect_err("7x is no number");
    let report = error.report().expect("there was a run");
    let failure = &report.failures()[0];
    assert!(failure.label().ends_with("::parse"), "{failure}");
    assert_eq!(failure.data(), Some("(\"7x\", 2)"));
    assert_eq!(failure.message(), "invalid digit found in string");
}

#[test]
fn a_task_that_takes_the_lock_twice_dies() {
    let _watchdog = Watchdog::after(PATIENCE, "a task that takes the lock twice");
    let twice = failure_of(|| {
        let _first = global_lock();
        drop(global_lock());
    });
    let read_beside = failure_of(|| {
        let _first = global_lock();
        dict().get(COUNT);
    });
    let written_beside = failure_of(|| {
        let _first = global_lock();
        dict().insert(COUNT, 1);
    });
    for message in [twice, read_beside, written_beside] {
        assert!(message.starts_with("the dict lock is already held by this task"), "{message}");
    }
}

/// A value whose `merge` posts a task, which no handler has asked for.
#[derive(Clone, Serialize, Deserialize)]
struct Meddler;

impl Merge for Meddler {
    fn merge(&mut self, _: Self) {
        post_task(|| merge(SUM, Sum(1)), ());
    }
}

#[test]
fn a_merge_that_posts_makes_the_task_dead() {
    const MEDDLER: Key<Meddler> = Key::new("meddler");
    let message = failure_of(|| {
        merge(MEDDLER, Meddler);
        merge(MEDDLER, Meddler);
    });
    assert!(message.starts_with("post_task called inside another call"), "{message}");
}

/// A value whose `clone` merges.
#[derive(Serialize, Deserialize)]
struct Parasite;

impl Clone for Parasite {
    fn clone(&self) -> Self {
        merge(SUM, Sum(1));
        Parasite
    }
}

#[test]
fn a_clone_that_merges_makes_the_task_dead() {
    const PARASITE: Key<Parasite> = Key::new("parasite");
    let message = failure_of(|| {
        global_lock().insert(PARASITE, Parasite);
        dict().get(PARASITE);
    });
    assert!(message.starts_with("merge called inside another call"), "{message}");
}

/// The loop works again after a panic in the middle of one of its calls.
#[test]
fn a_caught_panic_inside_a_call_does_no_harm() -> Result<(), Error> {
    const MEDDLER: Key<Meddler> = Key::new("meddler");
    fn handler() {
        merge(MEDDLER, Meddler);
        panic_of(|| merge(MEDDLER, Meddler));
        post_task(|| merge(SUM, Sum(1)), ());
        merge(SUM, Sum(10));
    }
    for setting in Setting::all(&[1, 2]) {
        let report = setting.runner(MessageLoop::new(|| post_task(handler, ()), || ())).start()?;
        assert_eq!(report.dict().get(SUM), Some(Sum(11)));
    }
    Ok(())
}
