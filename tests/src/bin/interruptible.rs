//! Runs that Ctrl-C comes to in the phase that the argument says; see `tests/ctrlc.rs`.
//!
//! It prints what it does, so that the test knows when to send the signal.

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use prunner::{
    Context, Error, Key, Labeled, ParallelTaskRunner, Report, Runner, Sum, TaskError, TaskResult,
};
use prunner_tests::{
    gate::Gate,
    log_lines::print_warnings,
    program::{program, program_with_end},
    sum_up::Stage,
};

const SUM: Key<Sum<u64>> = Key::new("sum");

fn main() -> ExitCode {
    print_warnings();
    let scene = std::env::args().nth(1).expect("an argument");
    let report = match scene.as_str() {
        "drain" => drain(true),
        "drain in begin" => drain(false),
        "stubborn begin" => stubborn(Phase::Begin),
        "stubborn handler" => stubborn(Phase::Handler),
        "stubborn end" => stubborn(Phase::End),
        "uninvited" => uninvited(),
        "again" => again(),
        "nested" => nested(),
        "afterwards" => afterwards(),
        "sum up" => sum_up(),
        _ => panic!("what is {scene}?"),
    };
    tell(report)
}

fn tell(report: Result<Report, Error>) -> ExitCode {
    match report {
        Ok(report) => {
            println!("well: {}", report.ledger());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn for_ever() -> ! {
    loop {
        thread::park();
    }
}

#[derive(Labeled, Clone, Copy)]
enum Step {
    /// Keeps worker 0 until the other one has stopped.
    Hold,
    /// One link of an endless chain.
    Tick,
    /// Must never run.
    Late,
}

/// Opens when the thread of worker 1 has ended, which happens when it has seen the interrupt.
static GONE: Gate = Gate::new();

struct Leaver;

impl Drop for Leaver {
    fn drop(&mut self) {
        GONE.arrive();
    }
}

thread_local! {
    /// Dropped with its thread, from the first look at it on.
    static LEAVER: Leaver = const { Leaver };
}

/// Worker 0 is kept in a handler, or in `begin`, while worker 1 ticks.
fn drain(in_handler: bool) -> Result<Report, Error> {
    let (on_worker_0, ticking) = (Gate::new(), Gate::new());
    let hold = |cx: &mut Context<'_, Step>| {
        if cx.worker() == 1 {
            cx.post(Step::Hold);
            cx.flush();
            return on_worker_0.wait_for(1);
        }
        on_worker_0.arrive();
        cx.post(Step::Tick);
        cx.flush();
        ticking.wait_for(100);
        println!("holding");
        GONE.wait_for(1);
        cx.post_all([Step::Late; 3]);
        cx.merge(SUM, Sum(1000));
        println!("held");
    };
    let drained = program_with_end(
        |cx| {
            if in_handler {
                cx.post(Step::Hold);
            } else {
                hold(cx);
            }
            Ok(())
        },
        |&step, cx| {
            match step {
                Step::Hold => hold(cx),
                Step::Late => println!("something new has started"),
                Step::Tick => {
                    LEAVER.with(|_| ());
                    ticking.arrive();
                    cx.post(Step::Tick);
                }
            }
            Ok(())
        },
        |dict| {
            println!("end: {}", dict.get(SUM).unwrap_or_default().0);
            Ok(())
        },
    );
    Runner::new(drained).workers(2).ctrlc(true).start()
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Begin,
    Handler,
    End,
}

/// One phase never ends.
fn stubborn(stuck: Phase) -> Result<Report, Error> {
    let enter = |phase: Phase| -> TaskResult {
        if phase == stuck {
            println!("holding");
            for_ever();
        }
        Ok(())
    };
    let stubborn = program_with_end(
        |cx| {
            cx.post(Step::Hold);
            enter(Phase::Begin)
        },
        |_: &Step, _| enter(Phase::Handler),
        |_| enter(Phase::End),
    );
    Runner::new(stubborn).workers(2).ctrlc(true).start()
}

/// Nobody has asked for `ctrlc(true)`.
fn uninvited() -> Result<Report, Error> {
    let busy = program(
        |cx| {
            cx.post(Step::Hold);
            Ok(())
        },
        |_: &Step, _| {
            println!("holding");
            for_ever()
        },
    );
    Runner::new(busy).workers(2).start()
}

/// Ticks until Ctrl-C.
fn tick() -> Result<Report, Error> {
    let ticks = program(
        |cx| {
            println!("ticking");
            cx.post(Step::Tick);
            Ok(())
        },
        |&step, cx| {
            cx.post(step);
            Ok(())
        },
    );
    Runner::new(ticks).workers(2).ctrlc(true).start()
}

/// One run after the other is interrupted.
fn again() -> Result<Report, Error> {
    for _ in 0..2 {
        let error = tick().expect_err("it ticks until Ctrl-C");
        assert!(error.is_interrupted());
    }
    tick()
}

/// A run inside a handler of another: both are interrupted by one Ctrl-C.
fn nested() -> Result<Report, Error> {
    let outer = program(
        |cx| {
            cx.post_all([Step::Hold, Step::Hold]);
            Ok(())
        },
        |_: &Step, _| tick().map(drop).map_err(TaskError::from),
    );
    Runner::new(outer).workers(1).ctrlc(true).start()
}

/// The run is over; the program is not.
fn afterwards() -> Result<Report, Error> {
    let nothing = program(|_| Ok(()), |_: &Step, _| Ok(()));
    Runner::new(nothing).ctrlc(true).start()?;
    println!("holding");
    for_ever()
}

/// The original's program, with a `begin` and an `end` that take their time.
struct SumUp;

const NUMBERS: u64 = 2000;

fn work_for(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

impl ParallelTaskRunner for SumUp {
    type Task = Stage;

    fn begin(&self, cx: &mut Context<'_, Stage>) -> TaskResult {
        println!("begin");
        for n in 0..NUMBERS {
            cx.post(Stage::AddOne(n));
            work_for(Duration::from_nanos(500));
        }
        Ok(())
    }

    fn run(&self, stage: &Stage, cx: &mut Context<'_, Stage>) -> TaskResult {
        stage.run(cx, |cx, n| {
            cx.merge(SUM, Sum(n));
            Ok(())
        })
    }

    fn end(&self, dict: &prunner::Dict) -> TaskResult {
        work_for(Duration::from_micros(500));
        println!("end: {}", dict.get(SUM).unwrap_or_default().0);
        Ok(())
    }
}

fn sum_up() -> Result<Report, Error> {
    let result = Runner::new(SumUp).workers(2).ctrlc(true).start();
    let report = match &result {
        Ok(report) => Some(report),
        Err(error) => error.report(),
    };
    let ledger = report.map(Report::ledger).expect("there was a run");
    assert_eq!(ledger.posted, ledger.finished + ledger.left, "{ledger}");
    assert_eq!(ledger.dead, 0);
    result
}
