//! Calls and message loops that travel as bytes, as they do between processes.

// `#[task]` must not ask this of a program.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use prunner::{
    Context, Dict, Error, Key, Labeled, MessageLoop, ParallelTaskRunner, Runner, Sum, Task,
    TaskResult, merge, post_task, signature::Call, task,
};
use prunner_tests::setting::Setting;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

prunner_tests::watched!();

const SUM: Key<Sum<u64>> = Key::new("sum");

fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, bincode::error::EncodeError> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, bincode::error::DecodeError> {
    bincode::serde::decode_from_slice(bytes, bincode::config::standard()).map(|(value, _)| value)
}

/// Runs each task of a program after it has travelled, in a copy of the program that has travelled.
struct Travelling<R> {
    here: R,
    there: R,
}

impl<R: Serialize + DeserializeOwned> Travelling<R> {
    fn new(here: R) -> Self {
        let there = read(&to_bytes(&here).expect("it can be written")).expect("and read");
        Self { here, there }
    }
}

impl<R> ParallelTaskRunner for Travelling<R>
where
    R: ParallelTaskRunner<Task: Serialize + DeserializeOwned>,
{
    type Task = R::Task;

    fn begin(&self, cx: &mut Context<'_, R::Task>) -> TaskResult {
        self.here.begin(cx)
    }

    fn run(&self, task: &R::Task, cx: &mut Context<'_, R::Task>) -> TaskResult {
        let copy: R::Task = read(&to_bytes(task)?)?;
        assert_eq!(copy.label(), task.label());
        self.there.run(&copy, cx)
    }

    fn end(&self, dict: &Dict) -> TaskResult {
        self.here.end(dict)
    }
}

/// What a program needs that runs in other processes.
fn can_travel<R>()
where
    R: ParallelTaskRunner<Task: Serialize + DeserializeOwned> + Serialize + DeserializeOwned,
{
}

#[test]
fn a_loop_with_and_without_state_can_travel() {
    can_travel::<MessageLoop>();
    can_travel::<MessageLoop<Job>>();
    can_travel::<MessageLoop<(u64, Vec<String>)>>();
}

#[task]
fn add(n: u64) {
    merge(SUM, Sum(n));
}

#[task]
fn none() {
    add(1);
}

#[task]
fn two(a: u64, b: u8) {
    add(a + u64::from(b));
}

#[task]
fn three(a: u64, b: String, c: Option<u64>) -> TaskResult {
    add(a + b.parse::<u64>()? + c.unwrap_or(0));
    Ok(())
}

#[prunner::task]
fn pair((a, b): (u64, u64)) {
    add(a * b);
}

/// More than fits into a call.
#[task]
fn wide(numbers: [u64; 30], texts: Vec<Task<String>>) {
    let lengths = texts.iter().map(|it| (it.label.len() + it.data.len()) as u64);
    add(numbers.into_iter().chain(lengths).sum());
}

mod inner {
    /// Has the name of another function, but not its path.
    #[prunner::task]
    pub(super) fn add(n: u8) {
        super::add(10 * u64::from(n));
    }
}

#[test]
fn functions_with_arguments_of_any_size_travel() -> Result<(), Error> {
    fn begin() {
        post_task(none, ());
        post_task(add, 10);
        post_task(inner::add, 10);
        post_task(two, (800, 100));
        post_task(three, (1000, "8000".to_string(), None));
        post_task(pair, (300, 300));
        let texts = vec![Task::new("label", "data!".to_string()); 3];
        post_task(wide, ([30_000 - 1; 30], texts));
    }
    for setting in Setting::all(&[1, 3]) {
        let report = setting.runner(Travelling::new(MessageLoop::new(begin, || ()))).start()?;
        assert_eq!(report.dict().get(SUM), Some(Sum(1_000_011)));
        assert_eq!(report.ledger().finished, 7);
    }
    Ok(())
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Job {
    factor: u64,
    words: Vec<String>,
}

#[task]
impl Job {
    fn begin(&self) {
        post_task(Job::each_word, self.clone());
        post_task(Job::none, ());
        post_task(Job::two, (100, 900));
    }

    #[task]
    fn each_word(&self, there: Self) -> TaskResult {
        if there != *self {
            return Err("the state is not what was sent".into());
        }
        for word in &self.words {
            post_task(Job::add, word.len() as u64);
        }
        Ok(())
    }

    #[task]
    fn add(&self, n: u64) {
        merge(SUM, Sum(self.factor * n));
    }

    #[task]
    fn none(&self) {
        self.add(10);
    }

    #[prunner::task]
    fn two(&self, a: u64, b: u64) {
        self.add(a + b);
    }

    /// Not a method, and a task all the same.
    #[task]
    fn alone(n: u64) {
        add(n);
    }

    /// Left alone.
    fn untouched<T>(_: T) {}
}

#[test]
fn methods_travel_as_their_names_and_find_their_state_there() -> Result<(), Error> {
    Job::untouched(0);
    let job = Job { factor: 3, words: vec!["one".to_string(), "three".to_string()] };
    let program = MessageLoop::new(Job::begin, || ()).with_state(job);
    let report = Runner::new(Travelling::new(program)).start()?;
    assert_eq!(report.dict().get(SUM), Some(Sum(3 * (3 + 5 + 10 + 1000))));
    let program = MessageLoop::new(|| post_task(Job::alone, 7), || ());
    let report = Runner::new(Travelling::new(program)).start()?;
    assert_eq!(report.dict().get(SUM), Some(Sum(7)));
    Ok(())
}

/// The failure of the only task.
fn failure_of<S>(program: MessageLoop<S>) -> String
where
    S: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let error = Runner::new(Travelling::new(program)).start().expect_err("the task dies");
    error.report().expect("there was a run").failures()[0].message().to_string()
}

#[test]
fn what_cannot_travel_is_told_by_name_and_with_the_cure() {
    fn unregistered(_: u64) {}
    #[derive(Serialize, Deserialize)]
    struct Alone;
    impl Alone {
        fn begin(&self) {
            post_task(Alone::method, 1);
        }
        /// Its arguments are checked, but without the attribute on the block it is not registered.
        #[task]
        fn method(&self, _: u64) {}
    }
    let cases: [(fn(), &str); 3] = [
        (|| post_task(unregistered, 1), "::unregistered cannot travel"),
        (|| post_task(|_: u64| (), 1), "{{closure}} cannot travel"),
        (|| post_task(add as fn(u64), 1), "fn(u64) cannot travel"),
    ];
    let method = MessageLoop::new(Alone::begin, || ()).with_state(Alone);
    let failures = cases.map(|(begin, name)| (failure_of(MessageLoop::new(begin, || ())), name));
    for (failure, name) in
        [(failure_of(method), "Alone::method cannot travel")].into_iter().chain(failures)
    {
        assert!(failure.contains(name), "{failure}");
        assert!(failure.contains("make it a function under #[task]"), "{failure}");
    }
}

#[test]
fn bytes_that_are_no_call_are_errors() {
    let error = |bytes: &[u8]| read::<Call>(bytes).expect_err("this is no call").to_string();
    let unknown = error(&to_bytes(&(100_000_u32, &[0_u8; 0][..])).expect("bytes"));
    assert!(unknown.contains("no function number 100000"), "{unknown}");
    // The functions of this file, by their numbers: none of them takes so many bytes.
    let mut names = Vec::new();
    for number in 0_u32.. {
        let malformed = error(&to_bytes(&(number, &[0_u8; 1000][..])).expect("bytes"));
        if malformed.contains("no function number") {
            break;
        }
        let name = malformed.split("the arguments of calls_travel::").nth(1).expect("it is named");
        assert!(name.contains("are left over"), "{malformed}");
        names.push(name.split(' ').next().expect("it is named").to_string());
    }
    assert!(names.is_sorted(), "{names:?}");
    for name in ["add", "inner::add", "wide", "Job::two", "Job::alone"] {
        assert!(names.iter().any(|it| it == name), "{name}: {names:?}");
    }
    assert!(
        !names.iter().any(|it| it.ends_with("untouched") || it.ends_with("begin")),
        "{names:?}"
    );
}

/// A message loop is its state and nothing else.
#[test]
fn begin_and_end_do_not_travel() {
    static BEGUN: AtomicU64 = AtomicU64::new(0);
    fn begin(_: &u64) {
        BEGUN.fetch_add(1, Ordering::Relaxed);
    }
    let program = MessageLoop::new(begin, || ()).with_state(300_u64);
    let bytes = to_bytes(&program).expect("the state can be written");
    assert_eq!(bytes, to_bytes(&300_u64).expect("a number can be written"));

    let copy: MessageLoop<u64> = read(&bytes).expect("it can be read");
    let error = Runner::new(copy).start().expect_err("there is no begin");
    assert!(error.is_begin());
    assert!(error.to_string().contains("there is no `begin` in this process"), "{error}");

    /// Begins as one program and ends as another.
    struct Mixed(MessageLoop<u64>, MessageLoop<u64>);
    impl ParallelTaskRunner for Mixed {
        type Task = Call;
        fn begin(&self, cx: &mut Context<'_, Call>) -> TaskResult {
            self.0.begin(cx)
        }
        fn run(&self, call: &Call, cx: &mut Context<'_, Call>) -> TaskResult {
            self.0.run(call, cx)
        }
        fn end(&self, dict: &Dict) -> TaskResult {
            self.1.end(dict)
        }
    }
    let copy = read(&bytes).expect("it can be read");
    let error = Runner::new(Mixed(program, copy)).start().expect_err("there is no end");
    assert!(error.is_end());
    assert!(error.to_string().contains("there is no `end` in this process"), "{error}");
    assert_eq!(BEGUN.load(Ordering::Relaxed), 1);
}
