//! A handler that fails makes its task dead and nothing else: the run goes on, and `start` tells.

use std::{
    error, fmt,
    panic::panic_any,
    sync::atomic::{AtomicU64, Ordering},
};

use prunner::{Error, Key, Labeled, Priority, Report, Runner, Sum, Task, TaskResult};
use prunner_tests::{
    program::{program, program_with_end},
    setting::Setting,
};

prunner_tests::watched!();

#[derive(Labeled, Clone, Copy, Debug)]
struct Number(u64);

/// Runs `handler` on the numbers from 0 to `n` - 1 with one worker.
fn run_numbers(n: u64, handler: impl Fn(u64) -> TaskResult + Sync) -> Result<Report, Error> {
    let numbers = program(
        |cx| {
            cx.post_all((0..n).map(|n| Task::new("number", n)));
            Ok(())
        },
        |task: &Task<u64>, _| handler(task.data),
    );
    Runner::new(numbers).workers(1).start()
}

/// The report of a run in which `handler` failed on one number.
fn report_of_one(handler: impl Fn() -> TaskResult + Sync) -> Report {
    let error = run_numbers(1, |_| handler()).expect_err("the only task dies");
    error.into_report().expect("there was a run")
}

/// An error with a cause.
#[derive(Debug)]
struct Layer(&'static str, Option<Box<Layer>>);

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl error::Error for Layer {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.1.as_ref().map(|below| &**below as &dyn error::Error)
    }
}

#[test]
fn an_error_is_told_with_all_its_causes() {
    let report = report_of_one(|| {
        let cause = Layer("refused", Some(Box::new(Layer("port 80", None))));
        Err(Layer("no answer", Some(Box::new(cause))))?
    });
    let failure = &report.failures()[0];
    assert_eq!((failure.label(), failure.data()), ("number", Some("0")));
    assert_eq!(failure.message(), "no answer: refused: port 80");
    assert_eq!((failure.is_panic(), failure.place(), failure.worker()), (false, None, 0));
    assert_eq!(failure.to_string(), "number(0): no answer: refused: port 80");
}

#[test]
fn a_panic_is_told_with_its_message_and_place() {
    let line = line!() + 1;
    let report = report_of_one(|| panic!("the disk is {}", "full"));
    let failure = &report.failures()[0];
    assert_eq!(failure.message(), "the disk is full");
    assert!(failure.is_panic());
    let place = failure.place().expect("the hook noted it");
    assert!(place.starts_with(&format!("{}:{line}:", file!())), "{place}");
    let column = place.rsplit(':').next().map(str::parse::<u32>);
    assert!(matches!(column, Some(Ok(1..))), "{place}");
    assert_eq!(failure.to_string(), format!("number(0): panicked at {place}: the disk is full"));
}

#[test]
fn a_panic_with_a_constant_text_is_told() {
    let report = report_of_one(|| panic!("constant"));
    assert_eq!(report.failures()[0].message(), "constant");
}

#[test]
fn a_payload_that_is_not_a_text_is_survived() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("even the payload panics");
        }
    }
    for handler in [|| panic_any(42), || panic_any(Bomb)] {
        let report = report_of_one(handler);
        assert!(report.failures()[0].is_panic());
        assert_eq!(report.failures()[0].message(), "with a value that is not a text");
    }
}

#[test]
fn an_error_whose_text_panics_is_survived() {
    #[derive(Debug)]
    struct Unspeakable;
    impl fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no words");
        }
    }
    impl error::Error for Unspeakable {}
    let report = report_of_one(|| Err(Unspeakable)?);
    let message = report.failures()[0].message();
    assert!(message.starts_with("an error's Display or source panicked at "), "{message}");
    assert!(message.ends_with(": no words"), "{message}");
}

#[test]
fn data_whose_debug_panics_is_left_out() {
    #[derive(Clone, Copy)]
    struct Shy;
    impl fmt::Debug for Shy {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("do not look at me");
        }
    }
    let shy = program(
        |cx| {
            cx.post(Task::new("shy", Shy));
            cx.post(Task::new("shy", Shy));
            Ok(())
        },
        |_: &Task<Shy>, _| Err("fails".into()),
    );
    let report = Runner::new(shy).workers(1).tolerate_dead(true).start().expect("tolerated");
    assert_eq!(report.ledger().dead, 2);
    assert_eq!(report.failures()[0].to_string(), "shy: fails");
}

#[test]
fn the_error_names_the_count_and_the_first_failures() {
    let odd = |n: u64| if n % 2 == 1 { Err(format!("{n} is odd").into()) } else { Ok(()) };
    let error = run_numbers(20, odd).expect_err("odd numbers die");
    assert!(error.is_dead() && !error.is_begin() && !error.is_end() && !error.is_config());
    assert_eq!(error.exit_code(), 1);
    let text = "10 of 20 tasks died\n  \
                number(19): 19 is odd\n  number(17): 17 is odd\n  number(15): 15 is odd\n  \
                number(13): 13 is odd\n  number(11): 11 is odd\n  and 5 more";
    assert_eq!(error.to_string(), text);
    let shown = format!("{error:?}");
    let table = shown.strip_prefix(text).expect("this is what `main` prints first");
    assert!(table.starts_with("\nposted 20 = finished 10 + dead 10 in "), "{shown}");
}

#[test]
fn the_error_carries_the_whole_report() {
    const DONE: Key<Sum<u64>> = Key::new("done");
    for setting in Setting::all(&[1, 3]) {
        let ends = AtomicU64::new(0);
        let every_third = program_with_end(
            |cx| {
                cx.post_all((0..300).map(Number));
                Ok(())
            },
            |&Number(n), cx| {
                cx.merge(DONE, Sum(1));
                if n % 3 == 0 { Err("a third".into()) } else { Ok(()) }
            },
            |_| {
                ends.fetch_add(1, Ordering::SeqCst);
                Ok(())
            },
        );
        let error = setting.runner(every_third).start().expect_err("a third died");
        let report = error.report().expect("there was a run");
        let ledger = report.ledger();
        assert_eq!((ledger.posted, ledger.finished, ledger.dead), (300, 200, 100));
        assert_eq!(ledger.left, 0);
        assert_eq!(report.dict().get(DONE), Some(Sum(200)));
        let label = report.label("Number").expect("it ran");
        assert_eq!((label.finished(), label.dead()), (200, 100));
        assert_eq!(ends.into_inner(), 1, "end runs all the same");
    }
}

#[test]
fn dead_tasks_can_be_tolerated() -> Result<(), Error> {
    let odd = program(
        |cx| {
            cx.post_all((0..10).map(Number));
            Ok(())
        },
        |&Number(n), _| if n % 2 == 1 { Err("odd".into()) } else { Ok(()) },
    );
    let report = Runner::new(odd).workers(2).tolerate_dead(true).start()?;
    assert_eq!((report.ledger().finished, report.ledger().dead), (5, 5));
    assert_eq!(report.failures().len(), 5);
    Ok(())
}

#[test]
fn all_failures_are_counted_and_the_first_hundred_kept() {
    for setting in Setting::all(&[1, 3]) {
        let hopeless = program(
            |cx| {
                cx.post_all((0..1000).map(Number));
                Ok(())
            },
            |&Number(n), _| if n % 2 == 0 { Err("an error".into()) } else { panic!("a panic") },
        );
        let error = setting.runner(hopeless).start().expect_err("everything dies");
        let report = error.report().expect("there was a run");
        assert_eq!((report.ledger().finished, report.ledger().dead), (0, 1000));
        assert_eq!(report.failures().len(), 100);
        assert!(error.to_string().starts_with("1000 of 1000 tasks died\n"), "{error}");
        assert!(error.to_string().ends_with("\n  and 995 more"), "{error}");
    }
}

/// How a handler goes wrong after it has done everything else.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Finishes,
    Fails,
    Panics,
}

impl Fate {
    fn of(n: u64) -> Self {
        [Fate::Finishes, Fate::Fails, Fate::Panics][(n % 3) as usize]
    }

    fn meet(self) -> TaskResult {
        match self {
            Fate::Finishes => Ok(()),
            Fate::Fails => Err("fails after all".into()),
            Fate::Panics => panic!("panics after all"),
        }
    }
}

/// Law 3. Keys that a worker merges into for the first time in a task that fails are among them.
#[test]
fn a_failed_task_leaves_no_posts_and_no_merges() -> Result<(), Error> {
    #[derive(Labeled)]
    enum Step {
        Parent(u64),
        Child(u64),
    }
    const PARENTS: u64 = 3000;
    const MERGED: Key<Sum<u64>> = Key::new("merged");
    const CHILDREN: Key<Sum<u64>> = Key::new("children");
    const ONLY_FAILED: Key<Sum<u64>> = Key::new("only failed");
    for setting in Setting::all(&[1, 2, 10]) {
        let families = program(
            |cx| {
                cx.post_all((0..PARENTS).map(Step::Parent));
                Ok(())
            },
            |step, cx| match *step {
                Step::Parent(n) => {
                    cx.merge(MERGED, Sum(1));
                    cx.post_with(Priority::High, Step::Child(n));
                    cx.post(Step::Child(n));
                    cx.merge(MERGED, Sum(10));
                    if !matches!(Fate::of(n), Fate::Finishes) {
                        cx.merge(ONLY_FAILED, Sum(1));
                    }
                    Fate::of(n).meet()
                }
                Step::Child(n) => {
                    assert!(matches!(Fate::of(n), Fate::Finishes), "an orphan");
                    cx.merge(CHILDREN, Sum(1));
                    Ok(())
                }
            },
        );
        let report = setting.runner(families).tolerate_dead(true).start()?;
        let finished = PARENTS / 3;
        assert_eq!(report.ledger().posted, PARENTS + 2 * finished, "{setting:?}");
        assert_eq!(report.ledger().dead, PARENTS - finished);
        assert_eq!(report.dict().get(MERGED), Some(Sum(11 * finished)));
        assert_eq!(report.dict().get(CHILDREN), Some(Sum(2 * finished)));
        assert_eq!(report.dict().get(ONLY_FAILED), None);
    }
    Ok(())
}

#[test]
fn what_was_flushed_stays_when_the_task_fails() -> Result<(), Error> {
    const SEEN: Key<Sum<u64>> = Key::new("seen");
    for setting in Setting::all(&[1, 2]) {
        for fate in [Fate::Fails, Fate::Panics] {
            let flushes = program(
                |cx| {
                    cx.post(Number(0));
                    Ok(())
                },
                |&Number(n), cx| {
                    cx.merge(SEEN, Sum(1));
                    if n > 0 {
                        return Ok(());
                    }
                    cx.post_all([Number(1), Number(2)]);
                    cx.flush();
                    cx.post(Number(3));
                    cx.merge(SEEN, Sum(100));
                    fate.meet()
                },
            );
            let report = setting.runner(flushes).tolerate_dead(true).start()?;
            assert_eq!((report.ledger().finished, report.ledger().dead), (2, 1));
            assert_eq!(report.dict().get(SEEN), Some(Sum(3)));
        }
    }
    Ok(())
}

#[test]
fn what_was_written_under_the_lock_stays_when_the_task_fails() -> Result<(), Error> {
    const WRITTEN: Key<u64> = Key::new("written");
    for setting in Setting::all(&[1, 3]) {
        let writers = program(
            |cx| {
                cx.post_all((0..300).map(Number));
                Ok(())
            },
            |&Number(n), cx| {
                *cx.lock().entry(WRITTEN).or_default() += 1;
                Fate::of(n).meet()
            },
        );
        let report = setting.runner(writers).tolerate_dead(true).start()?;
        assert_eq!(report.ledger().dead, 200);
        assert_eq!(report.dict().get(WRITTEN), Some(300));
    }
    Ok(())
}

/// Tasks whose destructor panics after the handler has done well or badly: it is run before the commit.
#[test]
fn a_panic_in_the_drop_of_a_task_makes_it_dead() -> Result<(), Error> {
    #[derive(Labeled)]
    struct Grenade(u64);
    impl Drop for Grenade {
        fn drop(&mut self) {
            if self.0.is_multiple_of(2) {
                panic!("grenade {}", self.0);
            }
        }
    }
    const THROWN: Key<Sum<u64>> = Key::new("thrown");
    for setting in Setting::all(&[1, 3]) {
        let grenades = program(
            |cx| {
                cx.post_all((0..300).map(Grenade));
                Ok(())
            },
            |grenade: &Grenade, cx| {
                cx.merge(THROWN, Sum(1));
                if grenade.0 < 300 {
                    cx.post(Grenade(1000 + grenade.0));
                }
                Fate::of(grenade.0).meet()
            },
        );
        let report = setting.runner(grenades).tolerate_dead(true).start()?;
        // Of the first 300 the odd multiples of 3 finish; of the follow-ups none is a multiple of 3.
        assert_eq!(report.ledger().posted, 350, "{setting:?}");
        assert_eq!((report.ledger().finished, report.ledger().dead), (50, 300));
        assert_eq!(report.dict().get(THROWN), Some(Sum(50)));
    }
    Ok(())
}

/// What Python takes for false stopped a worker of prunner.py.
#[test]
fn falsy_data_stops_nobody() -> Result<(), Error> {
    fn falsy<D: fmt::Debug + Copy + Send + Sync>(data: D) -> Result<(), Error> {
        for setting in Setting::all(&[1, 2]) {
            let tasks = program(
                |cx| {
                    cx.post_all((0..100).map(|_| Task::new("", data)));
                    Ok(())
                },
                |_: &Task<D>, _| Ok(()),
            );
            assert_eq!(setting.runner(tasks).start()?.ledger().finished, 100);
        }
        Ok(())
    }
    falsy(0)?;
    falsy(false)?;
    falsy("")?;
    falsy(None::<u8>)?;
    falsy(())
}

#[test]
fn tasks_of_no_size_are_counted_like_all_others() -> Result<(), Error> {
    #[derive(Labeled)]
    struct Nothing;
    for setting in Setting::all(&[1, 2, 10]) {
        let ran = AtomicU64::new(0);
        let nothings = program(
            |cx| {
                cx.post_all((0..10_000).map(|_| Nothing));
                Ok(())
            },
            |_: &Nothing, cx| {
                if ran.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) {
                    cx.post(Nothing);
                }
                Ok(())
            },
        );
        let report = setting.runner(nothings).start()?;
        assert_eq!(report.ledger().finished, ran.into_inner());
        assert_eq!(report.ledger().finished, 15_000);
    }
    Ok(())
}
