//! The message loop on processes: functions, methods, and what cannot be posted.

use std::{collections::BTreeMap, sync::Arc};

use prunner::{
    Error, Key, MessageLoop, Priority, Report, Runner, Sum, TaskResult, dict, flush, global_lock,
    merge, post_task, post_task_with, task,
};
use prunner_tests::notes::Notes;
use serde::{Deserialize, Serialize};

use super::start;

const SUM: Key<Sum<u64>> = Key::new("sum");
const COUNT: Key<u64> = Key::new("count");
const WORDS: Key<BTreeMap<String, Sum<u64>>> = Key::new("words");

fn run(begin: impl Fn() + Send + Sync + 'static) -> Result<Report, Error> {
    start(Runner::new(MessageLoop::new(begin, || ())).workers(3).processes())
}

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

#[test]
fn the_program_of_the_original_runs_as_it_is() -> Result<(), Error> {
    for workers in [1, 2, 10] {
        let noted = Arc::new(Notes::new());
        let begin = || {
            dict().insert(COUNT, 0);
            post_task(init, 0..2000);
        };
        let end = {
            let noted = Arc::clone(&noted);
            move || noted.add(dict().get(COUNT))
        };
        start(Runner::new(MessageLoop::new(begin, end)).workers(workers).processes())?;
        assert_eq!(noted.take(), [Some(4_002_000)]);
    }
    Ok(())
}

#[task]
fn words(text: String, times: u64) -> TaskResult {
    let words = text.split_whitespace().map(|word| (word.to_string(), Sum(times)));
    merge(WORDS, words.collect());
    Ok(())
}

#[task]
fn nothing() {
    merge(SUM, Sum(1));
}

#[test]
fn functions_of_none_and_of_several_arguments_travel() -> Result<(), Error> {
    let report = run(|| {
        post_task(nothing, ());
        post_task(words, ("a b a".to_string(), 2));
        post_task_with(Priority::High, words, ("größe b".to_string(), 3));
        flush();
        post_task(nothing, ());
    })?;
    let expected = [("a", 2), ("b", 5), ("größe", 3)];
    let expected = expected.map(|(word, times)| (word.to_string(), Sum(times)));
    assert_eq!(report.dict().get(WORDS), Some(expected.into()));
    assert_eq!(report.dict().get(SUM), Some(Sum(2)));
    let labels: Vec<&str> = report.labels().iter().map(|row| row.label()).collect();
    assert_eq!(labels, ["loops::nothing", "loops::words"]);
    Ok(())
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Scale {
    factor: u64,
    name: String,
}

#[task]
impl Scale {
    fn begin(&self) {
        (0..100).for_each(|n| post_task(Scale::add, n));
    }

    #[task]
    fn add(&self, n: u64) {
        merge(SUM, Sum(self.factor * n));
        merge(WORDS, [(self.name.clone(), Sum(1))].into());
    }

    fn end(&self) {
        assert_eq!(dict().get(SUM), Some(Sum(self.factor * 4950)));
    }
}

#[test]
fn methods_find_the_state_of_the_loop_in_each_worker() -> Result<(), Error> {
    let scale = Scale { factor: 7, name: "scale".to_string() };
    let program = MessageLoop::new(Scale::begin, Scale::end).with_state(scale);
    let report = start(Runner::new(program).workers(3).processes())?;
    assert_eq!(report.dict().get(WORDS), Some([("scale".to_string(), Sum(100))].into()));
    Ok(())
}

fn unregistered(n: u64) {
    merge(SUM, Sum(n));
}

#[task]
fn posts_what_is_not_registered(closure: bool) {
    post_task(nothing, ());
    match closure {
        true => post_task(|n: u64| merge(SUM, Sum(n)), 1),
        false => post_task(unregistered, 1),
    }
}

#[test]
fn what_is_not_registered_is_refused_by_name() {
    let error = run(|| post_task(unregistered, 1)).expect_err("begin fails");
    assert!(error.is_begin(), "{error}");
    assert!(error.to_string().contains("loops::unregistered"), "{error}");
    assert!(error.to_string().contains("#[task]"), "{error}");
    for (closure, name) in [(false, "loops::unregistered"), (true, "{{closure}}")] {
        let error = run(move || post_task(posts_what_is_not_registered, closure));
        let error = error.expect_err("the task dies");
        assert!(error.is_dead(), "{error}");
        let report = error.report().expect("there was a run");
        assert_eq!((report.ledger().posted, report.ledger().dead), (1, 1), "{error}");
        let message = report.failures()[0].message();
        assert!(message.contains(name) && message.contains("#[task]"), "{message}");
        assert_eq!(report.dict().get(SUM), None);
    }
}

#[task]
fn fails(n: u64) -> TaskResult {
    match n % 10 {
        0 => Err(format!("{n} fails").into()),
        5 => panic!("{n} panics"),
        _ => {
            merge(SUM, Sum(1));
            Ok(())
        }
    }
}

#[test]
fn functions_that_fail_are_told_with_their_arguments() {
    let error = run(|| (0..20).for_each(|n| post_task(fails, n))).expect_err("four tasks die");
    let report = error.into_report().expect("there was a run");
    let mut told: Vec<String> = report.failures().iter().map(ToString::to_string).collect();
    told.sort();
    assert_eq!(told[0], "loops::fails(0): 0 fails");
    assert_eq!(told[1], "loops::fails(10): 10 fails");
    assert!(told[2].starts_with("loops::fails(15): panicked at "), "{told:?}");
    assert!(told[3].ends_with(": 5 panics"), "{told:?}");
    assert_eq!(report.dict().get(SUM), Some(Sum(16)));
}
