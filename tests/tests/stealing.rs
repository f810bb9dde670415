//! What one worker has posted, others can take: while its handler runs, and while `begin` runs.

use std::sync::atomic::{AtomicBool, Ordering};

use prunner::{Error, Labeled, Priority};
use prunner_tests::{gate::Gate, notes::Notes, program::program, random::Random, setting::Setting};

prunner_tests::watched!();

#[derive(Labeled, Clone, Copy)]
enum Step {
    Long,
    Short(u64),
}
use Step::{Long, Short};

const SHORTS: u64 = 100;

/// The first of two workers is kept in `Long` until all `Short`s have run, which only the second
/// can do.
#[test]
fn flushed_follow_ups_of_a_busy_handler_run_elsewhere() -> Result<(), Error> {
    for setting in Setting::all(&[2]) {
        let (done, workers) = (Gate::new(), Notes::new());
        let busy = program(
            |cx| {
                cx.post(Long);
                Ok(())
            },
            |&step, cx| {
                workers.add(cx.worker());
                match step {
                    Short(_) => done.arrive(),
                    Long => {
                        cx.post_all((0..SHORTS).map(Short));
                        cx.flush();
                        done.wait_for(SHORTS);
                    }
                }
                Ok(())
            },
        );
        setting.runner(busy).start()?;
        let workers = workers.take();
        assert!(workers[1..].iter().all(|&worker| worker != workers[0]), "{setting:?}");
    }
    Ok(())
}

/// Nobody flushes here: `Long` is taken from a queue in which the `Short`s stay behind.
#[test]
fn tasks_queued_behind_a_long_handler_run_elsewhere() -> Result<(), Error> {
    for setting in Setting::all(&[2]) {
        for long_at in [0, SHORTS / 2, SHORTS] {
            let done = Gate::new();
            let stranded = program(
                |cx| {
                    cx.post_all((0..long_at).map(Short));
                    cx.post(Long);
                    cx.post_all((long_at..SHORTS).map(Short));
                    Ok(())
                },
                |&step, _| {
                    match step {
                        Short(_) => done.arrive(),
                        Long => done.wait_for(SHORTS),
                    }
                    Ok(())
                },
            );
            let report = setting.runner(stranded).start()?;
            assert_eq!(report.ledger().finished, SHORTS + 1);
        }
    }
    Ok(())
}

#[test]
fn each_of_many_busy_handlers_gets_its_follow_up_run_elsewhere() -> Result<(), Error> {
    const LONGS: u64 = 9;
    for setting in Setting::all(&[10]) {
        let done = Gate::new();
        let busy = program(
            |cx| {
                cx.post_all((0..LONGS).map(|_| Long));
                Ok(())
            },
            |&step, cx| {
                match step {
                    Short(_) => done.arrive(),
                    Long => {
                        cx.post(Short(0));
                        cx.flush();
                        done.wait_for(LONGS);
                    }
                }
                Ok(())
            },
        );
        setting.runner(busy).start()?;
    }
    Ok(())
}

/// Nobody flushes and nobody is busy: the commit of the first task wakes workers for the others.
#[test]
fn follow_ups_that_need_each_other_run_together() -> Result<(), Error> {
    const TOGETHER: u64 = 5;
    for setting in Setting::all(&[TOGETHER as usize, 10]) {
        let meeting = Gate::new();
        let meets = program(
            |cx| {
                cx.post(Long);
                Ok(())
            },
            |&step, cx| {
                match step {
                    Long => cx.post_all((0..TOGETHER).map(Short)),
                    Short(_) => {
                        meeting.arrive();
                        meeting.wait_for(TOGETHER);
                    }
                }
                Ok(())
            },
        );
        setting.runner(meets).start()?;
    }
    Ok(())
}

#[test]
fn tasks_of_every_priority_can_be_stolen() -> Result<(), Error> {
    for setting in Setting::all(&[2]) {
        for priority in [Priority::High, Priority::Normal, Priority::Low] {
            let done = Gate::new();
            let busy = program(
                |cx| {
                    cx.post(Long);
                    Ok(())
                },
                |&step, cx| {
                    match step {
                        Short(_) => done.arrive(),
                        Long => {
                            (0..SHORTS).for_each(|n| cx.post_with(priority, Short(n)));
                            cx.flush();
                            done.wait_for(SHORTS);
                        }
                    }
                    Ok(())
                },
            );
            setting.runner(busy).start()?;
        }
    }
    Ok(())
}

#[test]
fn posts_of_begin_start_while_it_goes_on() -> Result<(), Error> {
    for setting in Setting::all(&[2]) {
        let done = Gate::new();
        let begins_slowly = program(
            |cx| {
                cx.post(Short(1));
                cx.post(Short(2));
                done.wait_for(1);
                Ok(())
            },
            |_, cx| {
                assert!(done.arrived() > 0 || cx.worker() == 1, "begin holds worker 0");
                done.arrive();
                Ok(())
            },
        );
        assert_eq!(setting.runner(begins_slowly).start()?.workers_started(), 2);
    }
    Ok(())
}

#[test]
fn a_flush_in_begin_starts_a_single_post() -> Result<(), Error> {
    for setting in Setting::all(&[2]) {
        let done = Gate::new();
        let begins_slowly = program(
            |cx| {
                cx.post(Short(1));
                cx.flush();
                done.wait_for(1);
                Ok(())
            },
            |_, cx| {
                assert_eq!(cx.worker(), 1, "begin holds worker 0");
                done.arrive();
                Ok(())
            },
        );
        setting.runner(begins_slowly).start()?;
    }
    Ok(())
}

/// The commit: a follow-up that was not flushed never runs beside the handler that posted it.
#[test]
fn follow_ups_start_after_their_handler_has_returned() -> Result<(), Error> {
    struct Child<'a>(&'a AtomicBool);
    impl Labeled for Child<'_> {
        fn label(&self) -> &str {
            "Child"
        }
    }
    const PARENTS: usize = 10_000;
    for setting in Setting::all(&[2]) {
        let returned: Vec<AtomicBool> = (0..PARENTS).map(|_| AtomicBool::new(false)).collect();
        let families = program(
            |cx| {
                cx.post_all(returned.iter().map(Child));
                Ok(())
            },
            |child: &Child<'_>, cx| {
                let parent_first = !child.0.load(Ordering::SeqCst);
                if parent_first {
                    cx.post_all([Child(child.0), Child(child.0)]);
                    Random::new(std::ptr::from_ref(child.0).addr() as u64).dawdle();
                    child.0.store(true, Ordering::SeqCst);
                }
                Ok(())
            },
        );
        // A child that ran too early would take itself for the parent and post again.
        assert_eq!(setting.runner(families).start()?.ledger().finished, 3 * PARENTS as u64);
    }
    Ok(())
}
