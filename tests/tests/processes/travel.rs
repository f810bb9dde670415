//! Tasks on their way: those that cannot be written or read die with a message, the others finish,
//! and the large ones arrive.

use prunner::{Bytes, Error, Key, Labeled, Report, Sum};
use prunner_tests::{handler, travelling::Travelling};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{Setting, run};

const SUM: Key<Sum<u64>> = Key::new("sum");

/// A number that is not always written and not always read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fragile(u64);

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 10 {
            3 => Err(ser::Error::custom("it is too hot to be written")),
            _ => serializer.serialize_u64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            n if n % 10 == 7 => Err(de::Error::custom("nobody can read that")),
            n => Ok(Self(n)),
        }
    }
}

#[derive(Labeled, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Parcel {
    Send(u64),
    Of(Fragile),
    Large(Vec<u64>),
}

handler!(Passes: Parcel, |parcel, cx| {
    match parcel {
        Parcel::Send(n) => cx.post_all((0..*n).map(|n| Parcel::Of(Fragile(n)))),
        Parcel::Of(Fragile(n)) => cx.merge(SUM, Sum(*n)),
        Parcel::Large(_) => {}
    }
    Ok(())
});

#[track_caller]
fn assert_told(report: &Report) {
    let ledger = report.ledger();
    assert_eq!(ledger.posted, ledger.finished + ledger.dead, "{ledger}");
    let unwritten: Vec<_> =
        report.failures().iter().filter(|it| it.message().contains("too hot")).collect();
    assert_eq!(unwritten.len(), 10, "{report}");
    for failure in unwritten {
        assert_eq!(failure.label(), "Of");
        assert!(failure.data().is_some_and(|data| data.contains('3')), "{failure}");
        assert!(failure.message().contains("cannot be written as bytes"), "{failure}");
    }
    let unread = report.failures().iter().filter(|it| it.message().contains("nobody can read"));
    // Of its own follow-ups a worker need not read the last, but that is another one.
    assert_eq!(unread.count(), 10, "{report}");
    assert_eq!(ledger.dead, 20);
    let expected = (0..100).filter(|n| n % 10 != 3 && n % 10 != 7).sum();
    assert_eq!(report.dict().get(SUM), Some(Sum(expected)));
}

#[test]
fn what_begin_posts_and_cannot_travel_dies_alone() {
    for setting in Setting::all() {
        let program = Travelling::of(Passes, (0..100).map(|n| Parcel::Of(Fragile(n))));
        let error = setting.start(program).expect_err("20 tasks die");
        assert!(error.is_dead(), "{error}");
        let report = error.into_report().expect("there was a run");
        assert_told(&report);
    }
}

#[test]
fn what_a_handler_posts_and_cannot_travel_dies_alone() {
    for setting in Setting::all() {
        let error = setting.start(Travelling::of(Passes, [Parcel::Send(100)]));
        let report = error.expect_err("tasks die").into_report().expect("there was a run");
        assert_told(&report);
    }
}

#[derive(Labeled, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load(Bytes);

const LOADS: Key<Sum<u64>> = Key::new("loads");
const LAST: Key<Bytes> = Key::new("last");

fn sum_of(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

fn load(size: usize) -> Load {
    Load(Bytes((0..size).map(|at| (at % 251) as u8).collect()))
}

handler!(Adds: Load, |Load(Bytes(bytes)), cx| {
    cx.merge(LOADS, Sum(sum_of(bytes)));
    cx.lock().insert(LAST, Bytes(bytes.clone()));
    let half = &bytes[..bytes.len() / 2];
    if half.len() >= 512 {
        cx.post(Load(Bytes(half.to_vec())));
    }
    Ok(())
});

#[test]
fn payloads_of_a_kibibyte_and_of_ten_mebibytes_arrive() -> Result<(), Error> {
    for (size, copies) in [(1 << 10, 200), (10 << 20, 2)] {
        let first = load(size);
        let mut expected = 0;
        let mut length = size;
        while length >= 512 {
            expected += sum_of(&first.0.0[..length]);
            length /= 2;
        }
        let report = run(2, Travelling::of(Adds, vec![first; copies]))?;
        assert_eq!(report.dict().get(LOADS), Some(Sum(expected * copies as u64)));
        let last = report.dict().get_ref(LAST).map_or(0, |bytes| bytes.0.len());
        assert!(last >= 512, "{last}");
    }
    Ok(())
}
