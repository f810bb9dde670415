//! A task whose destructor panics when its handler has returned: it is dead, and has done nothing.

use std::cell::Cell;

use prunner::{Key, Labeled, Sum};
use prunner_tests::{handler, travelling::Travelling};
use serde::{Deserialize, Serialize};

use super::Setting;

const RAN: Key<Sum<u64>> = Key::new("ran");

thread_local! {
    /// The number of the handler that has just returned.
    static RETURNED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The sevenths of these cannot be dropped once they have run.
#[derive(Clone, Debug, Labeled, Serialize, Deserialize)]
pub(crate) struct Fragile(u64);

impl Drop for Fragile {
    fn drop(&mut self) {
        let returned = RETURNED.take() == Some(self.0);
        assert!(!returned || !self.0.is_multiple_of(7), "it broke");
    }
}

handler!(Drops: Fragile, |Fragile(number), cx| {
    cx.merge(RAN, Sum(1));
    if *number < 70 {
        // No multiple of seven.
        cx.post(Fragile(1000 + 7 * number));
    }
    RETURNED.set(Some(*number));
    Ok(())
});

#[test]
fn a_task_whose_destructor_panics_is_dead_and_has_done_nothing() {
    for setting in Setting::all() {
        let program = Travelling::of(Drops, (0..70).map(Fragile));
        let error = setting.start(program).expect_err("some of them are dead");
        let report = error.report().expect("there was a run");
        let ledger = report.ledger();
        // Ten of the first have posted nothing.
        assert_eq!((ledger.posted, ledger.finished, ledger.dead), (130, 120, 10), "{setting:?}");
        assert_eq!(report.dict().get(RAN), Some(Sum(120)), "{setting:?}");
        for failure in report.failures() {
            assert_eq!((failure.label(), failure.message()), ("Fragile", "it broke"));
        }
    }
}
