//! What the report tells of a run on processes.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use prunner::{Context, Error, Labeled, Report, Runner, Task, TaskResult};
use prunner_tests::{
    handler,
    meeting::{Invitation, Meeting},
    travelling::{Handler, Travelling},
};
use serde::{Deserialize, Serialize};

use super::{Setting, run, start};

/// Label, finished and dead of every row.
fn counts(report: &Report) -> Vec<(&str, u64, u64)> {
    report.labels().iter().map(|row| (row.label(), row.finished(), row.dead())).collect()
}

/// Keeps its thread busy for at least this long.
fn work_for(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

handler!(Works: Task<u64>, |task, cx| {
    match (task.label.as_ref(), task.data) {
        ("plan", n) => cx.post_all((0..n).map(|n| Task::new(format!("work {}", n % 3), n))),
        ("slow", _) => work_for(LONG),
        (_, n) if n % 10 == 0 => return Err("a multiple of ten".into()),
        _ => {}
    }
    Ok(())
});

const LONG: Duration = Duration::from_micros(200);

/// Labels that are chosen at run time, and their data.
#[test]
fn tasks_are_counted_under_their_labels() -> Result<(), Error> {
    for setting in Setting::all() {
        let Setting { workers, threads, order } = setting;
        let program = Travelling::of(Works, [Task::new("plan", 300)]);
        let runner = Runner::new(program).workers(workers).processes().threads(threads);
        let report = start(runner.order(order).tolerate_dead(true))?;
        let expected = [("plan", 1, 0), ("work 0", 90, 10), ("work 1", 90, 10), ("work 2", 90, 10)];
        assert_eq!(counts(&report), expected, "{setting:?}");
        let ledger = report.ledger();
        assert_eq!((ledger.posted, ledger.finished, ledger.dead), (301, 271, 30));
        assert_eq!((report.workers(), report.failures().len()), (workers, 30));
        let label = report.failures()[0].label();
        assert!(label.starts_with("work "), "{label}");
    }
    Ok(())
}

#[test]
fn long_handlers_are_measured_every_time() -> Result<(), Error> {
    for workers in [1, 2] {
        let report = run(workers, Travelling::of(Works, (0..200).map(|n| Task::new("slow", n))))?;
        let row = report.label("slow").expect("it ran");
        assert_eq!((row.finished(), row.measured()), (200, 200));
        let [mean, median, longest] = [row.mean(), row.quantile(0.5), row.quantile(1.0)]
            .map(|time| time.expect("it was measured"));
        // A histogram is exact within 1 %, and what the clock costs is taken off.
        let almost = LONG - LONG / 20;
        assert!(mean >= almost && median >= almost && longest >= median, "{row:?}");
        assert!(longest <= report.elapsed(), "{row:?}");
    }
    Ok(())
}

#[derive(Labeled, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Step {
    Plan(u64),
    Work { n: u64 },
    Stop,
}

handler!(Steps: Step, |&step, cx| {
    match step {
        Step::Plan(n) => cx.post_all((0..n).map(|n| Step::Work { n })),
        Step::Work { n: 7 } => return Err("seven".into()),
        Step::Work { n } if n % 2 == 0 => cx.post(Step::Stop),
        _ => {}
    }
    Ok(())
});

#[test]
fn it_prints_the_ledger_the_labels_and_the_failures() -> Result<(), Error> {
    let program = Travelling::of(Steps, [Step::Plan(10)]);
    let report = start(Runner::new(program).workers(1).processes().tolerate_dead(true))?;
    assert_eq!(counts(&report), [("Plan", 1, 0), ("Stop", 5, 0), ("Work", 9, 1)]);
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("posted 16 = finished 15 + dead 1 in "), "{text}");
    assert!(lines[0].ends_with(" on 1 of 1 workers"), "{text}");
    let end = ["1 of 16 tasks died", "  Work { n: 7 }: seven"];
    assert_eq!(lines[lines.len() - 2..], end, "{text}");
    Ok(())
}

/// Waits for others inside its process, or for the test.
#[derive(Serialize, Deserialize)]
pub(crate) enum Together {
    Here,
    There(Invitation),
}

const TOGETHER: usize = 4;

impl Handler for Together {
    type Task = Step;

    fn run(&self, _: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
        static HERE: Barrier = Barrier::new(TOGETHER);
        match self {
            Self::Here => _ = HERE.wait(),
            Self::There(invitation) => invitation.meet(&cx.worker().to_string()),
        }
        Ok(())
    }
}

#[test]
fn threads_of_one_process_run_handlers_at_the_same_time() -> Result<(), Error> {
    for tasks in [TOGETHER, 10 * TOGETHER] {
        let program = Travelling::of(Together::Here, vec![Step::Stop; tasks]);
        let report = start(Runner::new(program).workers(1).processes().threads(TOGETHER))?;
        assert_eq!(report.ledger().finished, tasks as u64);
        assert_eq!(report.workers_started(), 1);
    }
    Ok(())
}

/// Four tasks that wait for each other, in as many processes, each with a number of its own.
#[test]
fn tasks_that_need_each_other_start_as_many_workers() -> Result<(), Error> {
    let meeting = Meeting::new();
    let together = Together::There(meeting.invitation());
    let host = thread::spawn(move || {
        let guests: Vec<_> = (0..TOGETHER).map(|_| meeting.next()).collect();
        let mut pids: Vec<u32> = guests.iter().map(|guest| guest.pid).collect();
        let mut workers: Vec<String> = guests.iter().map(|guest| guest.text.clone()).collect();
        guests.into_iter().for_each(|guest| guest.let_go());
        pids.sort_unstable();
        pids.dedup();
        workers.sort_unstable();
        workers.dedup();
        (pids.len(), workers.len())
    });
    let report = run(TOGETHER + 2, Travelling::of(together, [Step::Stop; TOGETHER]))?;
    assert_eq!(host.join().expect("all have come"), (TOGETHER, TOGETHER));
    assert!((TOGETHER..=TOGETHER + 2).contains(&report.workers_started()), "{report}");
    Ok(())
}
