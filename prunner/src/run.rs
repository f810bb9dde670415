//! One run: begin, work, end.

use std::{sync::Arc, thread, time::Instant};

use crate::{
    engine::{self, Setup, queue::Order, stop::Stop},
    error::{Error, Kind},
    failure::{Cause, PanicWatch},
    report::Report,
    runner::ParallelTaskRunner,
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
#[derive(Debug)]
#[must_use = "a Runner does nothing until it is started"]
pub struct Runner<R> {
    runner: R,
    workers: Option<usize>,
    order: Order,
    membarrier: bool,
    tolerate_dead: bool,
    #[cfg(feature = "ctrlc")]
    ctrlc: bool,
}

/// More threads than this are a mistake, not a wish.
const MOST_WORKERS: usize = 65_536;

impl<R: ParallelTaskRunner> Runner<R> {
    /// A run of `runner` with the default settings.
    pub fn new(runner: R) -> Self {
        Self {
            runner,
            workers: None,
            order: Order::default(),
            membarrier: true,
            tolerate_dead: false,
            #[cfg(feature = "ctrlc")]
            ctrlc: false,
        }
    }

    /// How many workers run handlers at the same time; the number of CPUs unless it is set.
    ///
    /// Worker 0 is the thread that calls [`start`](Runner::start); the others are started when there
    /// is work for them. More workers than CPUs are good for handlers that wait for I/O.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// In which order each worker takes its tasks; newest first unless it is set.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Whether the run may be a success although tasks have died. The report tells of them.
    pub fn tolerate_dead(mut self, tolerate: bool) -> Self {
        self.tolerate_dead = tolerate;
        self
    }

    /// Whether Ctrl-C stops the run.
    ///
    /// The first drains it: running handlers finish, nothing new starts, `end` runs, and
    /// [`start`](Runner::start) returns an error with exit code 130 that tells what was left. The
    /// second ends the process at once, with exit code 130.
    ///
    /// Off unless it is set: a library does not take the signal uninvited.
    #[cfg(feature = "ctrlc")]
    pub fn ctrlc(mut self, stop: bool) -> Self {
        self.ctrlc = stop;
        self
    }

    /// Whether queues may rely on `membarrier(2)`, which is faster; they do, where it works.
    ///
    /// Where it does not (it is Linux's, and some sandboxes forbid it) another queue is used in any
    /// case. Switching it off is for tests and comparisons.
    pub fn membarrier(mut self, allow: bool) -> Self {
        self.membarrier = allow;
        self
    }

    /// Runs `begin`, then tasks until there are none left, then `end`.
    ///
    /// It may be called inside a handler of another run: an independent run, during which that
    /// handler waits.
    ///
    /// # Errors
    ///
    /// * a setting cannot work, such as zero workers: nothing was run;
    /// * `begin` failed: the run was stopped and `end` was not run;
    /// * the dict is not whole, because a merge panicked on what finished tasks had merged or a task kept
    ///   the lock for ever: `end` was not run;
    /// * Ctrl-C stopped the run;
    /// * `end` failed;
    /// * tasks died and that is not [tolerated](Runner::tolerate_dead).
    ///
    /// All but the first carry the whole [`Report`]: see [`Error::report`].
    pub fn start(self) -> Result<Report, Error> {
        let workers = self.worker_count()?;
        let stop = Arc::new(Stop::new());
        #[cfg(feature = "ctrlc")]
        let _listening = self.ctrlc.then(|| crate::signal::Listening::start(&stop)).transpose()?;
        let _watch = PanicWatch::begin();
        let start = Instant::now();

        log::info!("begin on up to {workers} workers");
        let setup = Setup { workers, order: self.order, membarrier: self.membarrier };
        let mut finished = engine::run(&self.runner, setup, &stop);
        let begin = std::mem::replace(&mut finished.begin, Ok(()));
        let broken = finished.broken.take();
        let mut report = Report::new(finished, start.elapsed(), workers);
        if let Err(cause) = begin {
            return Err(Error::of_run(Kind::Begin(cause.to_string()), report));
        }
        if let Some(why) = broken {
            return Err(Error::of_run(Kind::Dict(why), report));
        }

        log::info!("end after {}", report.ledger());
        let end = Cause::of(|| self.runner.end(report.dict()));
        report.set_elapsed(start.elapsed());
        self.judge(end, stop.is_interrupted(), report)
    }

    fn worker_count(&self) -> Result<usize, Error> {
        match self.workers {
            None => Ok(thread::available_parallelism().map_or(1, usize::from)),
            Some(0) => Err(Error::config(
                "a run needs at least 1 worker, not 0: call workers(n) with a higher n, or leave it \
                 out for one worker a CPU",
            )),
            Some(workers) if workers > MOST_WORKERS => Err(Error::config(format!(
                "{workers} workers are too many: at most {MOST_WORKERS}"
            ))),
            Some(workers) => Ok(workers),
        }
    }

    /// Whether the run was a success. What went wrong first is told first.
    fn judge(
        &self,
        end: Result<(), Cause>,
        interrupted: bool,
        report: Report,
    ) -> Result<Report, Error> {
        let dead = report.ledger().dead > 0;
        let kind = match end {
            end if interrupted => Kind::Interrupted(end.err().map(|cause| cause.to_string())),
            Err(cause) => Kind::End(cause.to_string()),
            Ok(()) if dead && !self.tolerate_dead => Kind::Dead,
            Ok(()) => return Ok(report),
        };
        Err(Error::of_run(kind, report))
    }
}
