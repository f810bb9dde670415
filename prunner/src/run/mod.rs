//! One run: begin, work, end.

mod settings;
#[cfg(feature = "ctrlc")]
mod signal;

use std::{fmt, mem, sync::Arc, time::Instant};

use crate::{
    engine::{Finished, stop::Stop, threads},
    error::{Error, Kind},
    failure::{Cause, PanicWatch},
    handler::ParallelTaskRunner,
    process::{self, NotAWorker},
    report::{Ledger, Report},
    settings::Settings,
};

/// Sets up a run and starts it.
///
/// ```no_run
/// # use prunner::{Context, Dict, Labeled, ParallelTaskRunner, Runner, TaskResult};
/// # #[derive(Labeled)] struct Page;
/// # struct Crawl;
/// # impl ParallelTaskRunner for Crawl {
/// #     type Task = Page;
/// #     fn begin(&self, _: &mut Context<'_, Page>) -> TaskResult { Ok(()) }
/// #     fn run(&self, _: &Page, _: &mut Context<'_, Page>) -> TaskResult { Ok(()) }
/// # }
/// fn main() -> Result<(), prunner::Error> {
///     let report = Runner::new(Crawl).workers(32).start()?;
///     println!("{report}");
///     Ok(())
/// }
/// ```
///
/// Settings follow one another:
///
/// ```
/// use prunner::{MessageLoop, Order, Runner, post_task};
///
/// let begin = || (0..100).for_each(|n| post_task(|n: u32| assert_ne!(n, 13), n));
/// let run = Runner::new(MessageLoop::new(begin, || ())).workers(2).order(Order::Fifo);
/// // The other queue, and a dead task that is no failure of the run.
/// let report = run.membarrier(false).tolerate_dead(true).start()?;
/// assert_eq!(report.ledger().dead, 1);
/// # Ok::<(), prunner::Error>(())
/// ```
///
/// And on worker processes:
///
/// ```no_run
/// use std::time::Duration;
///
/// use prunner::{MessageLoop, Runner, post_task, task};
///
/// #[task]
/// fn unpack(archive: String) {
///     println!("{archive}");
/// }
///
/// fn main() -> Result<(), prunner::Error> {
///     prunner::worker_entry::<MessageLoop>();
///     let begin = || post_task(unpack, "a.zip".to_string());
///     let run = Runner::new(MessageLoop::new(begin, || ())).workers(4).processes().threads(2);
///     // A handler that goes over a limit takes nothing but its process along.
///     let run = run.max_memory(1 << 30).max_cpu_time(Duration::from_secs(60));
///     let run = run.max_task_time(Duration::from_secs(90)).max_payload(1 << 20);
///     // How soon and how often others take over what a worker had.
///     let run = run.start_timeout(Duration::from_secs(20)).lease(Duration::from_secs(5));
///     let run = run.max_interruptions(100).max_deaths(1000);
///     run.prefix_output(true).start()?;
///     Ok(())
/// }
/// ```
#[must_use = "a Runner does nothing until it is started"]
pub struct Runner<R> {
    runner: R,
    settings: Settings,
    /// The engine of worker processes, if they are wanted: only then must the runner be able to travel.
    processes: Option<RunOnProcesses<R>>,
}

type RunOnProcesses<R> = fn(&R, &Settings, &Arc<Stop>) -> Result<(Finished, Option<Kind>), Error>;

impl<R: ParallelTaskRunner> Runner<R> {
    /// Runs `begin`, then tasks until there are none left, then `end`.
    ///
    /// It may be called inside a handler of another run: an independent run, during which that
    /// handler waits.
    ///
    /// # Errors
    ///
    /// * a setting cannot work, such as zero workers: nothing was run;
    /// * worker processes cannot be started, or die one after the other: `end` was not run;
    /// * `begin` failed: the run was stopped and `end` was not run;
    /// * the dict is not whole, because a merge panicked on what finished tasks had merged or a task kept
    ///   the lock for ever: `end` was not run;
    /// * tasks were lost or counted twice, which is a fault of prunner itself: `end` was not run;
    /// * Ctrl-C stopped the run;
    /// * `end` failed;
    /// * tasks died and that is not [tolerated](Runner::tolerate_dead).
    ///
    /// All but the first carry the whole [`Report`]: see [`Error::report`].
    pub fn start(mut self) -> Result<Report, Error> {
        check_process()?;
        self.settings = self.settings.checked(self.processes.is_some()).map_err(Error::config)?;
        let stop = Arc::new(Stop::new());
        #[cfg(feature = "ctrlc")]
        let _listening =
            self.settings.ctrlc.then(|| signal::Listening::start(&stop)).transpose()?;
        let _watch = PanicWatch::begin();
        let start = Instant::now();

        log::info!("begin on up to {} workers", self.settings.engine.workers());
        let (finished, failed) = match self.processes {
            None => (threads::run(&self.runner, self.settings.engine, &stop), None),
            Some(run) => run(&self.runner, &self.settings, &stop)?,
        };
        self.conclude(finished, failed, stop.is_interrupted(), start)
    }

    /// Judges a run whose workers have stopped. What went wrong first is told first, and `end` runs only if
    /// the answer may be right.
    fn conclude(
        &self,
        mut finished: Finished,
        failed: Option<Kind>,
        interrupted: bool,
        start: Instant,
    ) -> Result<Report, Error> {
        let begin = mem::replace(&mut finished.begin, Ok(()));
        let broken = finished.broken.take();
        let mut report = Report::new(finished, start.elapsed(), self.settings.engine.workers());
        if let Err(cause) = begin {
            return Err(Error::of_run(Kind::Begin(cause), report));
        }
        if let Some(kind) = failed.or(broken.map(Kind::Dict)) {
            return Err(Error::of_run(kind, report));
        }
        if !interrupted && let Err(kind) = balance(report.ledger()) {
            return Err(Error::of_run(kind, report));
        }

        log::info!("end after {}", report.ledger());
        let end = Cause::of(|| self.runner.end(report.dict()));
        report.set_elapsed(start.elapsed());
        self.judge(end, interrupted, report)
    }

    /// Whether the run was a success.
    fn judge(
        &self,
        end: Result<(), Cause>,
        interrupted: bool,
        report: Report,
    ) -> Result<Report, Error> {
        let dead = report.ledger().dead > 0;
        let kind = match end {
            end if interrupted => Kind::Interrupted(end.err()),
            Err(cause) => Kind::End(cause),
            Ok(()) if dead && !self.settings.tolerate_dead => Kind::Dead,
            Ok(()) => return Ok(report),
        };
        Err(Error::of_run(kind, report))
    }
}

/// A process that was started as a worker must not start workers of its own.
fn check_process() -> Result<(), Error> {
    match process::unclaimed() {
        NotAWorker::Program => Ok(()),
        NotAWorker::Unclaimed(runner) => Err(Error::config(format!(
            "this process was started as a worker, and main has not called \
             prunner::worker_entry::<{runner}>(): call it before anything else in main"
        ))),
    }
}

/// Whether every posted task of a run that was not stopped came to an end, once.
fn balance(ledger: Ledger) -> Result<(), Kind> {
    let Ledger { posted, finished, dead, left } = ledger;
    if finished.checked_add(dead) == Some(posted) && left == 0 {
        return Ok(());
    }
    Err(Kind::Ledger(format!(
        "the ledger does not balance: {posted} tasks were posted, {finished} finished, {dead} died and \
         {left} were left; this is a fault of prunner, please report it"
    )))
}

impl<R: fmt::Debug> fmt::Debug for Runner<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("runner", &self.runner)
            .field("workers", &self.settings.engine.workers)
            .field("order", &self.settings.engine.order)
            .field("processes", &self.processes.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::{
        dict::Dict,
        engine::Totals,
        failure::{Failure, TaskResult},
        handler::Context,
        task::Task,
    };

    /// Counts how often `end` runs.
    #[derive(Default)]
    struct Ends(AtomicU64);

    impl ParallelTaskRunner for Ends {
        type Task = Task<()>;

        fn begin(&self, _: &mut Context<'_, Task<()>>) -> TaskResult {
            Ok(())
        }

        fn run(&self, _: &Task<()>, _: &mut Context<'_, Task<()>>) -> TaskResult {
            Ok(())
        }

        fn end(&self, _: &Dict) -> TaskResult {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    /// What comes of a run with such books, and how often `end` ran.
    fn conclude(books: [u64; 4], interrupted: bool) -> (Result<Report, Error>, u64) {
        let [posted, finished, dead, left] = books;
        let ends = Ends::default();
        let failure = Failure::new("a task", None, Cause::text("it died"), 0);
        let finished = Finished {
            begin: Ok(()),
            totals: Totals { posted, finished, dead },
            left,
            rows: Vec::new(),
            failures: vec![failure],
            dict: Dict::new(),
            broken: None,
            started: 1,
        };
        let runner = Runner::new(&ends).workers(1).tolerate_dead(true);
        let result = runner.conclude(finished, None, interrupted, Instant::now());
        (result, ends.0.into_inner())
    }

    #[test]
    fn books_that_balance_are_a_success() {
        for books in [[0, 0, 0, 0], [5, 5, 0, 0], [5, 3, 2, 0]] {
            let (result, ends) = conclude(books, false);
            let ledger = result.expect("the books balance").ledger();
            assert_eq!([ledger.posted, ledger.finished, ledger.dead, ledger.left], books);
            assert_eq!(ends, 1);
        }
    }

    #[test]
    fn books_that_do_not_balance_are_an_error() {
        let lost = [5, 4, 0, 0];
        let left = [5, 4, 0, 1];
        let left_too = [5, 5, 0, 1];
        let doubled = [5, 5, 1, 0];
        let absurd = [5, u64::MAX, 6, 0];
        for books in [lost, left, left_too, doubled, absurd] {
            let (result, ends) = conclude(books, false);
            let error = result.expect_err("the books do not balance");
            assert!(error.is_ledger() && !error.is_dead(), "{error}");
            assert!(error.to_string().contains("the ledger does not balance: 5 tasks"), "{error}");
            let ledger = error.report().expect("there was a run").ledger();
            assert_eq!([ledger.posted, ledger.finished, ledger.dead, ledger.left], books);
            assert_eq!((error.exit_code(), ends), (1, 0));
        }
    }

    #[test]
    fn a_run_that_was_stopped_may_leave_tasks() {
        let (result, ends) = conclude([5, 3, 0, 2], true);
        assert!(result.expect_err("it was stopped").is_interrupted());
        assert_eq!(ends, 1, "partial results may be worth writing");
    }
}
