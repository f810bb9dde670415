//! No wake-up is lost: what is posted while others sleep is run by them.

use std::sync::atomic::{AtomicU64, Ordering};

use prunner::{Error, Labeled};
use prunner_tests::{
    gate::{Gate, PATIENCE},
    program::program,
    random::Random,
    scale::times,
    setting::{QUEUES, Setting},
    watchdog::Watchdog,
};

prunner_tests::watched!();

#[derive(Labeled, Clone, Copy)]
enum Step {
    Wait,
    Answer,
}

/// Tells the watchdog of every thousandth step: more often would keep its thread awake.
fn now_and_then(step: u64, watchdog: &Watchdog) {
    if step.is_multiple_of(1000) {
        watchdog.progress();
    }
}

/// One run: a handler posts one task after the other and goes on only when another worker has run it.
fn ask_for_answers(setting: Setting, questions: u64, watchdog: &Watchdog) -> Result<(), Error> {
    let answered = Gate::new();
    let asking = program(
        |cx| {
            cx.post(Step::Wait);
            Ok(())
        },
        |&step, cx| {
            match step {
                Step::Answer => answered.arrive(),
                Step::Wait => {
                    for question in 1..=questions {
                        cx.post(Step::Answer);
                        cx.flush();
                        answered.wait_for(question);
                        now_and_then(question, watchdog);
                    }
                }
            }
            Ok(())
        },
    );
    let report = setting.runner(asking).start()?;
    assert_eq!(report.ledger().finished, questions + 1);
    Ok(())
}

/// The first question finds a worker that was never started, later ones sleeping, searching and
/// parking ones.
#[test]
fn small_runs_are_never_stuck() -> Result<(), Error> {
    let watchdog = Watchdog::after(PATIENCE, "small runs");
    for setting in Setting::all(&[3]) {
        for run in 0..times("PRUNNER_WAKE_RUNS", 10_000) / 4 {
            ask_for_answers(setting, 1 + run % 3, &watchdog)?;
            now_and_then(run, &watchdog);
        }
    }
    Ok(())
}

#[test]
fn one_long_run_is_never_stuck() -> Result<(), Error> {
    let watchdog = Watchdog::after(PATIENCE, "one long run");
    for setting in Setting::all(&[2, 3]) {
        ask_for_answers(setting, times("PRUNNER_WAKE_QUESTIONS", 10_000) / 8, &watchdog)?;
    }
    Ok(())
}

/// The next question comes at any moment of a worker's way from its last answer to its sleep.
///
/// Without the barrier in front of that sleep this is stuck after some 100,000 questions of a release
/// build; the model in `models.rs` needs no luck.
#[test]
fn a_question_finds_a_worker_that_falls_asleep() -> Result<(), Error> {
    let watchdog = Watchdog::after(PATIENCE, "a question to a worker that falls asleep");
    let questions = times("PRUNNER_WAKE_QUESTIONS", 10_000);
    for setting in Setting::all(&[2]) {
        let answered = AtomicU64::new(0);
        let asking = program(
            |cx| {
                cx.post(Step::Wait);
                Ok(())
            },
            |&step, cx| {
                if let Step::Answer = step {
                    answered.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
                let mut random = Random::new(questions);
                for question in 1..=questions {
                    (0..random.below(2000)).for_each(|_| std::hint::spin_loop());
                    cx.post(Step::Answer);
                    cx.flush();
                    while answered.load(Ordering::SeqCst) < question {
                        std::thread::yield_now();
                    }
                    now_and_then(question, &watchdog);
                }
                Ok(())
            },
        );
        setting.runner(asking).start()?;
    }
    Ok(())
}

/// A handler that posts two tasks keeps one; for the other it starts a worker.
#[test]
fn two_follow_ups_start_a_worker() -> Result<(), Error> {
    #[derive(Labeled, Clone, Copy)]
    enum Step {
        Post,
        Nothing,
    }
    for setting in Setting::all(&[2, 3]) {
        for follow_ups in [1, 2] {
            let posts = program(
                |cx| {
                    cx.post(Step::Post);
                    Ok(())
                },
                |&step, cx| {
                    if let Step::Post = step {
                        cx.post_all((0..follow_ups).map(|_| Step::Nothing));
                    }
                    Ok(())
                },
            );
            let report = setting.runner(posts).start()?;
            assert_eq!(report.ledger().finished, follow_ups + 1);
            let started = report.workers_started() as u64;
            assert_eq!(started >= 2, follow_ups == 2, "{started} started: {setting:?}");
        }
    }
    Ok(())
}

/// One chain passed back and forth: each task is left to the other worker by the one that posted it,
/// who goes to sleep meanwhile or takes it himself.
#[test]
fn a_chain_that_changes_workers_is_never_stuck() -> Result<(), Error> {
    #[derive(Labeled)]
    struct Link(u64);
    let watchdog = Watchdog::after(PATIENCE, "a chain that changes workers");
    let links = times("PRUNNER_WAKE_QUESTIONS", 10_000);
    for membarrier in QUEUES {
        let chain = program(
            |cx| {
                cx.post(Link(links));
                Ok(())
            },
            |&Link(left), cx| {
                if left > 0 {
                    cx.post(Link(left - 1));
                    cx.flush();
                    now_and_then(left, &watchdog);
                    std::thread::yield_now();
                }
                Ok(())
            },
        );
        let runner = prunner::Runner::new(chain).workers(3).membarrier(membarrier);
        assert_eq!(runner.start()?.ledger().finished, links + 1);
    }
    Ok(())
}
