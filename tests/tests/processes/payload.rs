//! What is too large to travel: its task is dead, and the text names the setting.

use prunner::{Append, Bytes, Key, Labeled, Runner};
use prunner_tests::{handler, travelling::Travelling};
use serde::{Deserialize, Serialize};

use super::start;

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
