//! What the report counts and measures, and what it prints.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use prunner::{Error, Labeled, Ledger, MessageLoop, Report, Runner, Task, TaskResult, post_task};
use prunner_tests::{
    program::{program, program_with_end},
    setting::Setting,
};

prunner_tests::watched!();

/// Label, finished and dead of every row.
fn counts(report: &Report) -> Vec<(&str, u64, u64)> {
    report.labels().iter().map(|row| (row.label(), row.finished(), row.dead())).collect()
}

#[derive(Labeled, Clone, Copy)]
enum Step {
    Plan(u64),
    Work { n: u64 },
    Stop,
}

#[test]
fn variants_are_counted_under_their_names() -> Result<(), Error> {
    for setting in Setting::all(&[1, 3]) {
        let steps = program(
            |cx| {
                cx.post(Step::Plan(100));
                Ok(())
            },
            |&step, cx| {
                match step {
                    Step::Plan(n) => cx.post_all((0..n).map(|n| Step::Work { n })),
                    Step::Work { n } if n % 10 == 0 => return Err("a multiple of ten".into()),
                    Step::Work { n } if n % 2 == 0 => cx.post(Step::Stop),
                    _ => {}
                }
                Ok(())
            },
        );
        let report = setting.runner(steps).tolerate_dead(true).start()?;
        assert_eq!(counts(&report), [("Plan", 1, 0), ("Stop", 40, 0), ("Work", 90, 10)]);
        assert_eq!(report.label("Stop").map(|row| row.finished()), Some(40));
        assert!(report.label("stop").is_none());
        let ledger = report.ledger();
        assert_eq!((ledger.posted, ledger.finished, ledger.dead), (141, 131, 10));
    }
    Ok(())
}

/// More labels than any fixed table holds, chosen at run time.
#[test]
fn hundreds_of_labels_are_counted_apart() -> Result<(), Error> {
    const LABELS: u64 = 300;
    for setting in Setting::all(&[1, 3]) {
        let labels = program(
            |cx| {
                for n in 0..20 * LABELS {
                    cx.post(Task::new(format!("label {:03}", n % LABELS), n));
                }
                Ok(())
            },
            |task: &Task<u64>, _| {
                if task.data < LABELS { Err("the first of each label".into()) } else { Ok(()) }
            },
        );
        let report = setting.runner(labels).tolerate_dead(true).start()?;
        assert_eq!(report.labels().len() as u64, LABELS);
        for (n, row) in report.labels().iter().enumerate() {
            assert_eq!(row.label(), format!("label {n:03}"));
            assert_eq!((row.finished(), row.dead()), (19, 1));
        }
    }
    Ok(())
}

/// Ids of the program's own that look alike to a table of a power of two.
#[test]
fn labels_with_ids_that_collide_are_counted_apart() -> Result<(), Error> {
    struct Paged(u64, String);
    impl Labeled for Paged {
        fn label(&self) -> &str {
            &self.1
        }
        fn label_id(&self) -> u64 {
            self.0 << 20
        }
    }
    for setting in Setting::all(&[1, 3]) {
        let pages = program(
            |cx| {
                cx.post_all((0..2000).map(|n| Paged(n % 100, format!("page {:02}", n % 100))));
                Ok(())
            },
            |_: &Paged, _| Ok(()),
        );
        let report = setting.runner(pages).start()?;
        assert_eq!(report.labels().len(), 100);
        assert!(report.labels().iter().all(|row| row.finished() == 20));
    }
    Ok(())
}

mod calls {
    use super::*;

    pub(super) struct Job;

    impl Job {
        pub(super) fn method(&self, n: u64) {
            if n > 0 {
                post_task(free, n - 1);
            }
        }
    }

    pub(super) fn free(n: u64) {
        if n > 0 {
            post_task(Job::method, n - 1);
            post_task(|_: u64| (), n);
        }
    }
}

#[test]
fn calls_are_counted_under_the_names_of_their_functions() -> Result<(), Error> {
    for setting in Setting::all(&[1, 3]) {
        let program = MessageLoop::new(|| post_task(calls::free, 10), || ());
        let report = setting.runner(program.with_state(calls::Job)).start()?;
        let expected = [
            ("calls::Job::method", 5, 0),
            ("calls::free", 6, 0),
            ("calls::free::{{closure}}", 5, 0),
        ];
        assert_eq!(counts(&report), expected);
    }
    Ok(())
}

/// The same function posted as a function item and with different marker types has one row.
#[test]
fn one_function_posted_in_two_ways_is_one_label() -> Result<(), Error> {
    fn pair(_: (u64, u64)) {}
    fn two(_: u64, _: u64) {}
    let begin = || {
        (0..5).for_each(|n| post_task(pair, (n, n)));
        (0..5).for_each(|n| post_task(two, (n, n)));
        let also_two = two;
        post_task(also_two, (1, 1));
    };
    let report = Runner::new(MessageLoop::new(begin, || ())).workers(2).start()?;
    let rows: Vec<u64> = report.labels().iter().map(|row| row.finished()).collect();
    assert_eq!(rows, [5, 6]);
    Ok(())
}

/// Keeps its thread busy for at least this long.
fn work_for(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

const LONG: Duration = Duration::from_micros(20);

#[test]
fn long_handlers_are_measured_every_time() -> Result<(), Error> {
    for setting in Setting::all(&[1, 2]) {
        let slow = program(
            |cx| {
                cx.post_all((0..500).map(|n| Task::new("slow", n)));
                Ok(())
            },
            |_: &Task<u64>, _| {
                work_for(LONG);
                Ok(())
            },
        );
        let report = setting.runner(slow).start()?;
        let row = report.label("slow").expect("it ran");
        assert_eq!(row.measured(), 500);
        let [mean, median, longest] = [row.mean(), row.quantile(0.5), row.quantile(1.0)]
            .map(|time| time.expect("it was measured"));
        // A histogram is exact within 1 %, and what the clock costs is taken off.
        let almost = LONG - LONG / 20;
        assert!(mean >= almost && median >= almost && longest >= median, "{row:?}");
        assert!(longest <= report.elapsed() + report.elapsed() / 100, "{row:?}");
    }
    Ok(())
}

#[test]
fn errors_are_measured_like_successes() -> Result<(), Error> {
    let fails = program(
        |cx| {
            cx.post_all((0..50).map(|n| Task::new("fails", n)));
            Ok(())
        },
        |_: &Task<u64>, _| -> TaskResult {
            work_for(LONG);
            Err("in vain".into())
        },
    );
    let report = Runner::new(fails).workers(1).tolerate_dead(true).start()?;
    let row = report.label("fails").expect("it ran");
    assert_eq!((row.finished(), row.dead(), row.measured()), (0, 50, 50));
    Ok(())
}

#[test]
fn short_handlers_are_measured_at_least_once() -> Result<(), Error> {
    let short = program(
        |cx| {
            cx.post_all((0..10_000).map(|n| Task::new("short", n)));
            Ok(())
        },
        |_: &Task<u64>, _| Ok(()),
    );
    let report = Runner::new(short).workers(1).start()?;
    let row = report.label("short").expect("it ran");
    assert!((1..=10_000).contains(&row.measured()), "{row:?}");
    assert!(row.mean().is_some() && row.quantile(0.99) <= row.quantile(1.0), "{row:?}");
    Ok(())
}

#[test]
fn the_run_takes_as_long_as_its_hooks_and_no_longer_than_start() -> Result<(), Error> {
    let (start, each) = (Instant::now(), Duration::from_millis(2));
    let slow = program_with_end(
        |cx| {
            work_for(each);
            cx.post(Step::Stop);
            Ok(())
        },
        |_, _| {
            work_for(each);
            Ok(())
        },
        |_| {
            work_for(each);
            Ok(())
        },
    );
    let elapsed = Runner::new(slow).start()?.elapsed();
    assert!(elapsed >= 3 * each && elapsed <= start.elapsed(), "{elapsed:?}");
    Ok(())
}

#[test]
fn a_run_of_one_task_starts_one_worker() -> Result<(), Error> {
    for setting in Setting::all(&[1, 2, 10]) {
        let one = program(
            |cx| {
                cx.post(Step::Stop);
                Ok(())
            },
            |_, _| Ok(()),
        );
        let report = setting.runner(one).start()?;
        assert_eq!((report.workers_started(), report.workers()), (1, setting.workers));
    }
    Ok(())
}

#[test]
fn a_chain_starts_one_worker() -> Result<(), Error> {
    for setting in Setting::all(&[10]) {
        let chain = program(
            |cx| {
                cx.post(Step::Plan(1000));
                Ok(())
            },
            |&step, cx| {
                if let Step::Plan(n @ 1..) = step {
                    cx.post(Step::Plan(n - 1));
                }
                Ok(())
            },
        );
        let report = setting.runner(chain).start()?;
        assert_eq!((report.ledger().finished, report.workers_started()), (1001, 1), "{setting:?}");
    }
    Ok(())
}

#[test]
fn tasks_that_need_each_other_start_as_many_workers() -> Result<(), Error> {
    const TOGETHER: usize = 5;
    for setting in Setting::all(&[TOGETHER, 10]) {
        let meeting = Barrier::new(TOGETHER);
        let meets = program(
            |cx| {
                cx.post_all([Step::Stop; TOGETHER]);
                Ok(())
            },
            |_, _| {
                meeting.wait();
                Ok(())
            },
        );
        let started = setting.runner(meets).start()?.workers_started();
        assert!((TOGETHER..=setting.workers).contains(&started), "{started}: {setting:?}");
    }
    Ok(())
}

/// What the report prints, without the numbers that differ from run to run.
#[test]
fn it_prints_the_ledger_the_labels_and_the_failures() -> Result<(), Error> {
    let steps = program(
        |cx| {
            cx.post_all((0..3).map(|n| Task::new("work", n)));
            cx.post(Task::new("a longer label", 7));
            Ok(())
        },
        |task: &Task<u64>, _| if task.data == 7 { Err("seven".into()) } else { Ok(()) },
    );
    let report = Runner::new(steps).workers(1).tolerate_dead(true).start()?;
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("posted 4 = finished 3 + dead 1 in "), "{text}");
    assert!(lines[0].ends_with(" on 1 of 1 workers"), "{text}");
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(String::from).collect() };
    let head = ["label", "finished", "dead", "mean", "median", "99", "%", "longest"];
    assert_eq!(words(lines[1]), head, "{text}");
    assert_eq!(words(lines[2])[..5], ["a", "longer", "label", "0", "1"], "{text}");
    assert_eq!(words(lines[3])[..3], ["work", "3", "0"], "{text}");
    let widths: Vec<usize> = lines[1..4].iter().map(|line| line.chars().count()).collect();
    assert!(widths.iter().all(|&width| width == widths[0]), "the columns are aligned: {text}");
    assert_eq!(lines[4..], ["1 of 4 tasks died", "  a longer label(7): seven"], "{text}");
    Ok(())
}

#[test]
fn it_prints_a_run_of_nothing() -> Result<(), Error> {
    let nothing = program(|_| Ok(()), |_: &Step, _| Ok(()));
    let report = Runner::new(nothing).workers(1).start()?;
    assert_eq!(report.ledger(), Ledger::default());
    assert!(report.to_string().starts_with("posted 0 = finished 0 + dead 0 in "), "{report}");
    Ok(())
}

/// How data looks in a failure, where it is `Debug` and where it is not.
#[test]
fn failures_show_the_data() -> Result<(), Error> {
    struct Secret;
    #[derive(Labeled)]
    enum Form {
        Unit,
        Pair(&'static str, Secret),
    }
    let forms = program(
        |cx| {
            cx.post(Form::Unit);
            cx.post(Form::Pair("x", Secret));
            Ok(())
        },
        |form: &Form, _| match form {
            Form::Unit => Err("no data".into()),
            Form::Pair(_, Secret) => Err("a secret".into()),
        },
    );
    let report = Runner::new(forms).workers(1).tolerate_dead(true).start()?;
    let texts: Vec<String> = report.failures().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["Pair(\"x\", _): a secret", "Unit: no data"]);
    Ok(())
}
