//! Merges: whatever falls on whichever worker, the whole is what one thread would have computed.

use std::sync::atomic::{AtomicU64, Ordering};

use prunner::{Append, Context, Counter, Dict, Error, Key, Labeled, Runner, Sum, TaskResult};
use prunner_tests::{
    gate::Gate,
    kinds::{assert_all_merged, merge_all_kinds},
    program::{program, program_with_end},
    random::Random,
    setting::Setting,
};

prunner_tests::watched!();

#[derive(Labeled, Clone, Copy)]
struct Number(u64);

const APPEND: Key<Append<u64>> = Key::new("append");
const COUNTER: Key<Counter<String>> = Key::new("counter");

#[test]
fn every_kind_comes_out_as_on_one_thread() -> Result<(), Error> {
    const TASKS: u64 = 2000;
    for setting in Setting::all(&[1, 2, 10]) {
        let halves = program(
            |cx| {
                cx.post_all((0..TASKS).map(Number));
                Ok(())
            },
            |&Number(n), cx| {
                Random::new(n).dawdle();
                merge_all_kinds(n, cx);
                Ok(())
            },
        );
        assert_all_merged(TASKS, setting.runner(halves).start()?.dict());
    }
    Ok(())
}

#[test]
fn a_counter_knows_the_most_common_words() -> Result<(), Error> {
    for setting in Setting::all(&[3]) {
        let words = program(
            |cx| {
                cx.post_all((0..1000).map(Number));
                Ok(())
            },
            |&Number(n), cx| {
                let mut words = Counter::new();
                words.add("every".to_string());
                words.add_many(format!("tenth {}", n % 10), n % 10);
                cx.merge(COUNTER, words);
                Ok(())
            },
        );
        let counter = setting.runner(words).start()?.into_dict().remove(COUNTER);
        let counter = counter.expect("it was merged into");
        assert_eq!(counter.total(), 1000 + 100 * 45);
        let top = counter.most_common(3);
        let top: Vec<(&str, u64)> = top.iter().map(|(word, n)| (word.as_str(), *n)).collect();
        assert_eq!(top, [("every", 1000), ("tenth 9", 900), ("tenth 8", 800)]);
    }
    Ok(())
}

/// The order of merges is the order of tasks where there is only one worker.
#[test]
fn appends_of_one_worker_keep_their_order() -> Result<(), Error> {
    let list = program(
        |cx| {
            cx.post_all((0..100).map(Number));
            Ok(())
        },
        |&Number(n), cx| {
            cx.merge(APPEND, Append(vec![2 * n, 2 * n + 1]));
            Ok(())
        },
    );
    let report = Runner::new(list).workers(1).order(prunner::Order::Fifo).start()?;
    assert_eq!(report.dict().get(APPEND).map(|list| list.0), Some((0..200).collect()));
    Ok(())
}

/// Past 16 keys the dict looks them up in another way.
#[test]
fn many_keys_are_kept_apart() -> Result<(), Error> {
    const KEYS: u64 = 100;
    let name = |n| &*format!("key {n}").leak();
    let merged: Vec<Key<Sum<u64>>> = (0..KEYS).map(|n| Key::new(name(n))).collect();
    let locked: Vec<Key<u64>> = (KEYS..2 * KEYS).map(|n| Key::new(name(n))).collect();
    for setting in Setting::all(&[1, 3]) {
        let many = program(
            |cx| {
                cx.post_all((0..20 * KEYS).map(Number));
                Ok(())
            },
            |&Number(n), cx| {
                let key = (n % KEYS) as usize;
                cx.merge(merged[key], Sum(n));
                *cx.lock().entry(locked[key]).or_default() += n;
                Ok(())
            },
        );
        let dict = setting.runner(many).start()?.into_dict();
        for key in 0..KEYS as usize {
            let expected = (0..20).map(|round| key as u64 + round * KEYS).sum();
            assert_eq!(dict.get(merged[key]), Some(Sum(expected)));
            assert_eq!(dict.get(locked[key]), Some(expected));
        }
        assert_eq!(dict.len() as u64, 2 * KEYS);
    }
    Ok(())
}

const DONE: Key<Sum<u64>> = Key::new("done");

/// Each task knows that its parent has finished. The first child puts that on record *before* it looks
/// under the lock, so whatever is on record must be found there, and nothing that still runs. The
/// second child is there to be stolen.
#[test]
fn the_lock_shows_the_merges_of_all_finished_tasks() -> Result<(), Error> {
    #[derive(Labeled, Clone, Copy)]
    enum Child {
        First(u64),
        Second,
    }
    const CHAINS: u64 = 20;
    const LENGTH: u64 = 500;
    for setting in Setting::all(&[2, 10]) {
        let (known_finished, started) = (AtomicU64::new(0), AtomicU64::new(0));
        let chains = program(
            |cx| {
                cx.post_all([Child::First(LENGTH); CHAINS as usize]);
                Ok(())
            },
            |&child, cx| {
                if matches!(child, Child::First(..LENGTH)) {
                    known_finished.fetch_add(1, Ordering::SeqCst);
                }
                started.fetch_add(1, Ordering::SeqCst);
                cx.merge(DONE, Sum(1));
                let known = known_finished.load(Ordering::SeqCst);
                let seen = cx.lock().get(DONE).unwrap_or_default().0;
                assert!(seen >= known, "{seen} seen, {known} known: {setting:?}");
                let running = started.load(Ordering::SeqCst);
                assert!(seen < running, "{seen} seen, {running} started: {setting:?}");
                if let Child::First(left @ 1..) = child {
                    // With newest first the second child is run here and the first one is stolen.
                    cx.post_all([Child::First(left - 1), Child::Second]);
                }
                Ok(())
            },
        );
        let report = setting.runner(chains).start()?;
        assert_eq!(report.dict().get(DONE), Some(Sum(CHAINS * (2 * LENGTH + 1))));
    }
    Ok(())
}

#[test]
fn a_flush_publishes_merges() -> Result<(), Error> {
    for setting in Setting::all(&[2]) {
        let seen = Gate::new();
        let flushes = program(
            |cx| {
                cx.post(Number(0));
                Ok(())
            },
            |&Number(n), cx| {
                if n == 1 {
                    assert_eq!(cx.lock().get(DONE), Some(Sum(5)));
                    seen.arrive();
                    return Ok(());
                }
                cx.merge(DONE, Sum(2));
                cx.merge(DONE, Sum(3));
                cx.post(Number(1));
                cx.flush();
                cx.merge(DONE, Sum(100));
                seen.wait_for(1);
                Ok(())
            },
        );
        let report = setting.runner(flushes).start()?;
        assert_eq!(report.dict().get(DONE), Some(Sum(105)));
    }
    Ok(())
}

/// Runs `handler` on 0, 1, 2, ... one after the other on one worker.
fn in_turn(
    handlers: u64,
    handler: impl Fn(u64, &mut Context<'_, Number>) -> TaskResult + Sync,
) -> Result<Dict, Error> {
    let steps = program(
        |cx| {
            cx.post(Number(0));
            Ok(())
        },
        |&Number(n), cx| {
            if n + 1 < handlers {
                cx.post(Number(n + 1));
            }
            handler(n, cx)
        },
    );
    Ok(Runner::new(steps).workers(1).start()?.into_dict())
}

#[test]
fn a_task_does_not_see_its_own_merges() -> Result<(), Error> {
    let dict = in_turn(3, |n, cx| {
        cx.merge(DONE, Sum(1));
        let mut lock = cx.lock();
        assert_eq!(lock.get(DONE).unwrap_or_default().0, n);
        cx.merge(DONE, Sum(0));
        assert_eq!(lock.get(DONE).unwrap_or_default().0, n, "nor does it while it holds the lock");
        Ok(())
    })?;
    assert_eq!(dict.get(DONE), Some(Sum(3)));
    Ok(())
}

#[test]
fn an_entry_can_be_merged_into_and_changed_under_the_lock() -> Result<(), Error> {
    let dict = in_turn(6, |n, cx| {
        match n {
            0 => cx.merge(DONE, Sum(1)),
            1 => cx.lock().get_mut(DONE).expect("merged by 0").0 *= 10,
            2 => cx.merge(DONE, Sum(5)),
            3 => assert_eq!(cx.lock().remove(DONE), Some(Sum(15))),
            4 => cx.merge(DONE, Sum(7)),
            _ => assert_eq!(cx.lock().insert(DONE, Sum(70)), Some(Sum(7))),
        }
        Ok(())
    })?;
    assert_eq!(dict.get(DONE), Some(Sum(70)));
    Ok(())
}

/// Many workers merge into and change the same entry; every change is seen by the next reader.
#[test]
fn taking_merged_values_out_loses_nothing() -> Result<(), Error> {
    const TASKS: u64 = 10_000;
    const TAKEN: Key<u64> = Key::new("taken");
    for setting in Setting::all(&[3, 10]) {
        let takers = program(
            |cx| {
                cx.post_all((0..TASKS).map(Number));
                Ok(())
            },
            |&Number(n), cx| {
                cx.merge(DONE, Sum(1));
                if n % 10 == 0 {
                    let mut lock = cx.lock();
                    let taken = lock.remove(DONE).unwrap_or_default().0;
                    *lock.entry(TAKEN).or_default() += taken;
                }
                Ok(())
            },
        );
        let dict = setting.runner(takers).start()?.into_dict();
        let rest = dict.get(DONE).unwrap_or_default().0;
        assert_eq!(dict.get(TAKEN).unwrap_or_default() + rest, TASKS, "{setting:?}");
    }
    Ok(())
}

const NARROW: Key<Sum<u8>> = Key::new("narrow");

/// What overflows is the task's own; all others are whole.
#[test]
fn a_merge_that_panics_in_a_task_makes_it_dead() -> Result<(), Error> {
    for setting in Setting::all(&[1, 3]) {
        let overflows = program(
            |cx| {
                cx.post_all((0..100).map(Number));
                Ok(())
            },
            |&Number(n), cx| {
                cx.merge(NARROW, Sum(1));
                if n % 50 == 7 {
                    cx.merge(NARROW, Sum(255));
                }
                Ok(())
            },
        );
        let report = setting.runner(overflows).tolerate_dead(true).start()?;
        assert_eq!((report.ledger().finished, report.ledger().dead), (98, 2));
        assert_eq!(report.dict().get(NARROW), Some(Sum(98)));
        let message = report.failures()[0].message();
        assert_eq!(message, "a Sum<u8> overflows: use a wider number");
    }
    Ok(())
}

/// No answer is better than a wrong one: tasks that finished have lost what they merged.
#[test]
fn a_merge_that_panics_on_what_has_finished_fails_the_run() {
    for setting in Setting::all(&[1, 2]) {
        let meeting = Gate::new();
        let overflows = program_with_end(
            |cx| {
                cx.post_all([Number(200), Number(201)]);
                Ok(())
            },
            |&Number(n), cx| {
                meeting.arrive();
                meeting.wait_for(setting.workers as u64);
                cx.merge(NARROW, Sum(n as u8));
                cx.merge(DONE, Sum(1));
                Ok(())
            },
            |_| unreachable!("end must not see a wrong sum"),
        );
        let run = setting.runner(overflows).tolerate_dead(true).start();
        let error = run.expect_err("the sum of both does not fit");
        assert!(error.is_dict() && !error.is_end() && !error.is_dead(), "{error}");
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().ends_with("are not complete: narrow"), "{error}");
        let report = error.report().expect("there was a run");
        assert_eq!(report.ledger().finished, 2);
        assert_eq!(report.dict().get(DONE), Some(Sum(2)), "other entries are whole");
    }
}
