//! The dict under the lock and in `end`: entries of every kind, and keys that clash.

use prunner::{Context, Dict, Error, Key, Labeled, Runner, Sum};
use prunner_tests::{
    notes::Notes,
    program::{program, program_with_end},
    setting::Setting,
};

prunner_tests::watched!();

const NUMBER: Key<u64> = Key::new("number");
const WORDS: Key<Vec<String>> = Key::new("words");
const NAME: Key<String> = Key::new("name");

#[derive(Labeled, Clone, Copy)]
struct Step(u64);

/// Runs one handler on one worker.
fn one_task(handler: impl Fn(&mut Context<'_, Step>) + Sync) -> Result<Dict, Error> {
    let one = program(
        |cx| {
            cx.post(Step(0));
            Ok(())
        },
        |_, cx| {
            handler(cx);
            Ok(())
        },
    );
    Ok(Runner::new(one).workers(1).start()?.into_dict())
}

#[test]
fn values_are_set_read_changed_and_taken_out() -> Result<(), Error> {
    let dict = one_task(|cx| {
        let mut lock = cx.lock();
        assert_eq!((lock.get(NUMBER), lock.contains(NUMBER)), (None, false));
        assert_eq!(lock.insert(NUMBER, 1), None);
        assert_eq!(lock.insert(NUMBER, 2), Some(1));
        *lock.get_mut(NUMBER).expect("it is there") += 40;
        assert_eq!(lock.get_ref(NUMBER), Some(&42));
        assert_eq!(lock.get(NUMBER), Some(42));
        assert_eq!((lock.remove(NUMBER), lock.remove(NUMBER)), (Some(42), None));
        assert_eq!(lock.get_mut(NUMBER), None);
        lock.insert(NAME, "left".into());
    })?;
    assert_eq!(dict.names().collect::<Vec<_>>(), ["name"]);
    assert_eq!((dict.len(), dict.is_empty(), dict.contains(NUMBER)), (1, false, false));
    Ok(())
}

#[test]
fn entries_are_filled_and_changed_in_place() -> Result<(), Error> {
    let dict = one_task(|cx| {
        let mut lock = cx.lock();
        assert_eq!(*lock.entry(NUMBER).and_modify(|n| *n += 1).or_insert(5), 5);
        assert_eq!(*lock.entry(NUMBER).and_modify(|n| *n += 1).or_insert(5), 6);
        assert_eq!(*lock.entry(NUMBER).or_insert_with(|| unreachable!("there is a value")), 6);
        lock.entry(WORDS).or_default().push("first".into());
        lock.entry(WORDS).or_default().push("second".into());
        lock.remove(NUMBER);
        assert_eq!(*lock.entry(NUMBER).or_insert_with(|| 9), 9);
    })?;
    assert_eq!(dict.get(NUMBER), Some(9));
    assert_eq!(dict.get(WORDS), Some(vec!["first".to_string(), "second".to_string()]));
    Ok(())
}

/// `get` without the lock: never more than there is, exact for what was written under the lock, and
/// as fresh as the last look under the lock.
#[test]
fn a_get_without_the_lock_may_be_stale_but_not_wrong() -> Result<(), Error> {
    const MERGED: Key<Sum<u64>> = Key::new("merged");
    for setting in Setting::all(&[1, 3]) {
        let readers = program(
            |cx| {
                cx.lock().insert(NUMBER, 17);
                cx.post_all((0..1000).map(Step));
                Ok(())
            },
            |_, cx| {
                assert_eq!(cx.get(NUMBER), Some(17));
                cx.merge(MERGED, Sum(1));
                let exact = cx.lock().get(MERGED).unwrap_or_default();
                let maybe_stale = cx.get(MERGED).unwrap_or_default();
                assert!(exact <= maybe_stale && maybe_stale <= Sum(1000));
                Ok(())
            },
        );
        assert_eq!(setting.runner(readers).start()?.dict().get(MERGED), Some(Sum(1000)));
    }
    Ok(())
}

#[test]
fn end_sees_the_whole_dict_and_the_report_keeps_it() -> Result<(), Error> {
    const MERGED: Key<Sum<u64>> = Key::new("merged");
    for setting in Setting::all(&[1, 10]) {
        let seen = Notes::new();
        let adds = program_with_end(
            |cx| {
                cx.merge(MERGED, Sum(1_000_000));
                cx.lock().insert(NAME, "by begin".into());
                cx.post_all((0..1000).map(Step));
                Ok(())
            },
            |&Step(n), cx| {
                cx.merge(MERGED, Sum(n));
                Ok(())
            },
            |dict| {
                seen.add((dict.get(MERGED), dict.get(NAME)));
                Ok(())
            },
        );
        let report = setting.runner(adds).start()?;
        let truth = (Some(Sum(1_499_500)), Some("by begin".to_string()));
        assert_eq!(seen.take(), std::slice::from_ref(&truth));
        assert_eq!((report.dict().get(MERGED), report.dict().get(NAME)), truth);
    }
    Ok(())
}

/// How the second of two tasks dies that use one name for two types, on one worker.
fn clash(
    first: impl Fn(&mut Context<'_, Step>) + Sync,
    second: impl Fn(&mut Context<'_, Step>) + Sync,
) -> String {
    let clashing = program(
        |cx| {
            cx.post(Step(1));
            Ok(())
        },
        |&Step(n), cx| {
            if n == 1 {
                cx.post(Step(2));
                first(cx);
            } else {
                second(cx);
            }
            Ok(())
        },
    );
    let error = Runner::new(clashing).workers(1).start().expect_err("the second task dies");
    let report = error.report().expect("there was a run");
    assert_eq!((report.ledger().finished, report.ledger().dead), (1, 1));
    report.failures()[0].message().to_string()
}

const AS_NUMBER: Key<u64> = Key::new("clash");
const AS_TEXT: Key<String> = Key::new("clash");
const AS_SUM: Key<Sum<u64>> = Key::new("clash");

#[track_caller]
fn assert_names_both(message: &str, there: &str, wanted: &str) {
    let (before, after) = message.split_once(", not a ").expect("it names what was wanted");
    assert_eq!(before, format!("the dict's entry \"clash\" holds a {there}"));
    assert_eq!(after, format!("{wanted}: two keys share one name"));
}

#[test]
fn two_types_under_one_name_are_refused_under_the_lock() {
    let message = clash(|cx| _ = cx.lock().insert(AS_NUMBER, 1), |cx| _ = cx.lock().get(AS_TEXT));
    assert_names_both(&message, "u64", "alloc::string::String");
    let message = clash(
        |cx| _ = cx.lock().entry(AS_TEXT).or_default(),
        |cx| _ = cx.lock().entry(AS_NUMBER).or_default(),
    );
    assert_names_both(&message, "alloc::string::String", "u64");
}

#[test]
fn a_merge_into_a_locked_entry_of_another_type_is_refused() {
    let message = clash(|cx| _ = cx.lock().insert(AS_NUMBER, 1), |cx| cx.merge(AS_SUM, Sum(1)));
    assert_names_both(&message, "u64", "prunner::dict::merge::Sum<u64>");
}

#[test]
fn a_lock_on_a_merged_entry_of_another_type_is_refused() {
    for second in [
        |cx: &mut Context<'_, Step>| _ = cx.lock().get(AS_NUMBER),
        |cx: &mut Context<'_, Step>| _ = cx.lock().insert(AS_NUMBER, 1),
        |cx: &mut Context<'_, Step>| _ = cx.lock().remove(AS_NUMBER),
    ] {
        let message = clash(|cx| cx.merge(AS_SUM, Sum(1)), second);
        assert_names_both(&message, "prunner::dict::merge::Sum<u64>", "u64");
    }
}

#[test]
fn an_end_that_reads_with_the_wrong_type_fails() {
    let wrong = program_with_end(
        |cx| {
            cx.lock().insert(AS_NUMBER, 1);
            Ok(())
        },
        |_: &Step, _| Ok(()),
        |dict| {
            dict.get(AS_TEXT);
            Ok(())
        },
    );
    let error = Runner::new(wrong).start().expect_err("end fails");
    assert!(error.is_end());
    assert!(error.to_string().contains("holds a u64, not a alloc::string::String"), "{error}");
}
