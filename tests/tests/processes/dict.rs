//! The dict of a run on processes: merges of every kind, the lock, both together, reads.

use prunner::{Context, Error, Key, Labeled, Runner, Sum};
use prunner_tests::{
    handler,
    kinds::{assert_all_merged, merge_all_kinds},
    random::Random,
    sum_up::Stage,
    travelling::Travelling,
};
use serde::{Deserialize, Serialize};

use super::{Setting, run, start};

const COUNT: Key<u64> = Key::new("count");
const BOTH: Key<Sum<u64>> = Key::new("both");

#[derive(Labeled, Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Number(u64);

fn numbers(n: u64) -> impl Iterator<Item = Number> {
    (0..n).map(Number)
}

handler!(AllKinds: Number, |&Number(n), cx| {
    Random::new(n).dawdle();
    merge_all_kinds(n, cx);
    Ok(())
});

#[test]
fn every_kind_comes_out_as_on_one_thread() -> Result<(), Error> {
    const TASKS: u64 = 200;
    for setting in Setting::all() {
        let report = setting.start(Travelling::of(AllKinds, numbers(TASKS)))?;
        assert_all_merged(TASKS, report.dict());
    }
    Ok(())
}

handler!(Increments: Number, |_, cx| {
    *cx.lock().entry(COUNT).or_insert(0) += 1;
    Ok(())
});

#[test]
fn increments_under_the_lock_are_exact() -> Result<(), Error> {
    const TASKS: u64 = 1500;
    for setting in Setting::all() {
        let report = setting.start(Travelling::of(Increments, numbers(TASKS)))?;
        assert_eq!(report.dict().get(COUNT), Some(TASKS), "{setting:?}");
        assert_eq!(report.ledger().finished, TASKS);
    }
    Ok(())
}

handler!(SumUpByLock: Stage, |stage, cx| {
    stage.run(cx, |cx, n| {
        *cx.lock().get_mut(COUNT).ok_or("begin has set it")? += n;
        Ok(())
    })
});

#[test]
fn the_sum_is_right_when_it_is_taken_under_the_lock() -> Result<(), Error> {
    const NUMBERS: u64 = 2000;
    for workers in [1, 2, 10] {
        let begin = |cx: &mut Context<'_, Stage>| {
            cx.lock().insert(COUNT, 0);
            cx.post(Stage::Init(NUMBERS));
            Ok(())
        };
        let program = Travelling::new(SumUpByLock, begin).with_end(|dict| {
            assert_eq!(dict.get(COUNT), Some(4_002_000));
            Ok(())
        });
        let report = start(Runner::new(program).workers(workers).processes())?;
        let ledger = report.ledger();
        assert_eq!((ledger.posted, ledger.finished, ledger.dead), (8001, 8001, 0));
        assert_eq!(report.dict().get(COUNT), Some(4_002_000));
    }
    Ok(())
}

handler!(Both: Number, |&Number(n), cx| {
    match n % 3 {
        0 => cx.merge(BOTH, Sum(n)),
        1 => cx.lock().entry(BOTH).or_default().0 += n,
        _ => {
            cx.merge(BOTH, Sum(n));
            let mut lock = cx.lock();
            let there = lock.get(BOTH).unwrap_or_default();
            lock.insert(BOTH, Sum(there.0 + n));
        }
    }
    Ok(())
});

/// What is merged and what is written under the lock adds up, in whatever order it comes.
#[test]
fn an_entry_may_be_merged_into_and_locked() -> Result<(), Error> {
    const TASKS: u64 = 1000;
    let weight = |n: u64| if n % 3 == 2 { 2 * n } else { n };
    let expected = (0..TASKS).map(weight).sum();
    for setting in Setting::all() {
        let report = setting.start(Travelling::of(Both, numbers(TASKS)))?;
        assert_eq!(report.dict().get(BOTH), Some(Sum(expected)), "{setting:?}");
    }
    Ok(())
}

handler!(Keys: Number, |&Number(n), cx| {
    cx.merge(Key::<Sum<u64>>::new(&*format!("merged {:02}", n % 40).leak()), Sum(n));
    let key = Key::<u64>::new(&*format!("locked {:02}", n % 40).leak());
    let mut lock = cx.lock();
    match n / 40 {
        // Taken out and put in again.
        5 => {
            let there = lock.remove(key).unwrap_or_default();
            assert!(!lock.contains(key));
            lock.insert(key, there + n);
        }
        _ => *lock.entry(key).or_default() += n,
    }
    Ok(())
});

#[test]
fn many_keys_are_kept_apart() -> Result<(), Error> {
    const ROUNDS: u64 = 10;
    for workers in [1, 3] {
        let report = run(workers, Travelling::of(Keys, numbers(40 * ROUNDS)))?;
        let dict = report.dict();
        for key in 0..40 {
            let expected = (0..ROUNDS).map(|round| key + round * 40).sum();
            let merged = Key::<Sum<u64>>::new(&*format!("merged {key:02}").leak());
            let locked = Key::<u64>::new(&*format!("locked {key:02}").leak());
            assert_eq!(dict.get(merged), Some(Sum(expected)));
            assert_eq!(dict.get(locked), Some(expected));
        }
        assert_eq!(dict.len(), 80);
    }
    Ok(())
}

handler!(Chain: Number, |&Number(n), cx| {
    // Written by the task before this one, which has finished.
    let written = cx.get(COUNT);
    if written != Some(n) {
        return Err(format!("{written:?} was read, {n} was written").into());
    }
    cx.lock().insert(COUNT, n + 1);
    if n < 300 {
        cx.post(Number(n + 1));
    }
    Ok(())
});

#[test]
fn a_task_reads_what_was_written_before_it_was_posted() -> Result<(), Error> {
    for workers in [1, 2] {
        let chain = Travelling::new(Chain, |cx| {
            cx.lock().insert(COUNT, 0);
            cx.post(Number(0));
            Ok(())
        });
        assert_eq!(run(workers, chain)?.dict().get(COUNT), Some(301));
    }
    Ok(())
}
