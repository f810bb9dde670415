//! What is too large to travel, and what cannot be written or read: that task is dead, the run goes on.

use prunner::{Append, Bytes, Key, Labeled, Runner};
use prunner_tests::{handler, travelling::Travelling};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::start;

const KEPT: Key<String> = Key::new("kept");

/// A text whose codec panics when it is told to.
#[derive(Clone, Debug)]
pub(crate) struct Touchy(String);

impl Serialize for Touchy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(self.0 != "unwritable", "I will not be written");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        assert!(text != "unreadable", "I will not be read");
        Ok(Self(text))
    }
}

#[derive(Clone, Debug, Labeled, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Posts these; one that says so is large.
    Post(Vec<String>),
    Carry(Touchy),
    /// Keeps so many bytes in the dict.
    Keep(usize),
}

handler!(Carries: Step, |step, cx| {
    match step {
        Step::Post(texts) => {
            let carried = |text: &String| match &**text {
                "large" => "x".repeat(2000),
                text => text.to_string(),
            };
            cx.post_all(texts.iter().map(|text| Step::Carry(Touchy(carried(text)))));
        }
        Step::Carry(_) => {}
        Step::Keep(bytes) => _ = cx.lock().insert(KEPT, "x".repeat(*bytes)),
    }
    Ok(())
});

fn run(tasks: Vec<Step>, threads: usize) -> prunner::Error {
    let runner = Runner::new(Travelling::of(Carries, tasks)).workers(2).processes();
    runner.threads(threads).max_payload(1024).start().expect_err("something cannot travel")
}

/// Thirty texts, five of them each of the odd ones.
fn texts(odd: &[&str]) -> Vec<String> {
    (0..30).map(|n| odd.get(n % 6).copied().unwrap_or("light").to_string()).collect()
}

/// Five tasks have died for each of these reasons, and no other.
#[track_caller]
fn assert_died(error: &prunner::Error, posted: u64, reasons: &[&str]) {
    let report = error.report().expect("there was a run");
    let (ledger, dead) = (report.ledger(), 5 * reasons.len() as u64);
    assert_eq!(
        (ledger.posted, ledger.finished, ledger.dead),
        (posted, posted - dead, dead),
        "{report}"
    );
    let messages: Vec<&str> = report.failures().iter().map(|failure| failure.message()).collect();
    for why in reasons {
        let of_this = messages.iter().filter(|message| message.contains(why)).count();
        assert_eq!(of_this, 5, "{why}: {messages:?}");
    }
}

const UNWRITABLE: &str = "I will not be written";
const UNREADABLE: &str = "I will not be read";
const TOO_LARGE: &str = "at most 1024 may travel";

#[test]
fn posts_of_a_handler_that_cannot_travel_are_dead_with_the_reason() {
    for threads in [1, 4] {
        let texts = texts(&["unwritable", "large"]);
        assert_died(&run(vec![Step::Post(texts)], threads), 31, &[UNWRITABLE, TOO_LARGE]);
    }
}

#[test]
fn posts_of_begin_that_cannot_travel_are_dead_with_the_reason() {
    let texts = texts(&["unwritable", "unreadable", &"x".repeat(2000)]);
    let tasks: Vec<Step> = texts.into_iter().map(|text| Step::Carry(Touchy(text))).collect();
    for threads in [1, 4] {
        let reasons = [UNWRITABLE, UNREADABLE, TOO_LARGE];
        assert_died(&run(tasks.clone(), threads), 30, &reasons);
    }
}

#[test]
fn an_entry_of_the_dict_that_is_too_large_ends_the_run_by_name() {
    for threads in [1, 4] {
        let error = run(vec![Step::Keep(2000)], threads);
        assert!(error.is_dict(), "{error}");
        let text = error.to_string();
        assert!(text.contains("\"kept\"") && text.contains("max_payload"), "{text}");
    }
}

#[derive(Labeled, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Parcel(Bytes);

fn parcel(bytes: usize) -> Parcel {
    Parcel(Bytes(vec![7; bytes]))
}

const ARRIVED: Key<Append<u64>> = Key::new("arrived");

handler!(Weighs: Parcel, |Parcel(Bytes(bytes)), cx| {
    cx.merge(ARRIVED, Append(vec![bytes.len() as u64]));
    Ok(())
});

const MOST: usize = 4096;

/// The length of the bytes takes three itself.
#[test]
fn what_begin_posts_and_is_too_large_dies_alone() {
    let sizes = [10, MOST - 3, MOST - 2, 100_000, 20];
    let program = Travelling::of(Weighs, sizes.map(parcel));
    let run = Runner::new(program).workers(1).processes().max_payload(MOST as u64);
    let report = start(run.tolerate_dead(true)).unwrap_or_else(|error| panic!("{error}"));
    let mut arrived = report.dict().get(ARRIVED).unwrap_or_default().0;
    arrived.sort_unstable();
    assert_eq!(arrived, [10, 20, MOST as u64 - 3]);
    assert_eq!((report.ledger().posted, report.ledger().dead), (5, 2));
    for (failure, bytes) in report.failures().iter().zip(["4097", "100005"]) {
        assert_eq!(failure.label(), "Parcel");
        let message = failure.message();
        let expected = format!("takes {bytes} bytes, and at most 4096 may travel");
        assert!(message.contains(&expected) && message.contains("max_payload"), "{message}");
    }
}

/// Nobody could read it.
#[test]
fn what_begin_merges_and_is_too_large_ends_the_run() {
    let program = Travelling::new(Weighs, |cx| {
        cx.post(parcel(10));
        cx.merge(ARRIVED, Append(vec![1; MOST]));
        Ok(())
    });
    let run = Runner::new(program).workers(1).processes().max_payload(MOST as u64);
    let error = start(run).expect_err("the dict is not whole");
    assert!(error.is_dict(), "{error}");
    assert!(error.to_string().contains("\"arrived\" takes 4099 bytes"), "{error}");
}
