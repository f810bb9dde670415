//! One run: begin, work, end.

use std::{
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    engine::{self, Finished, Setup, queue::Order, stop::Stop},
    error::{Error, Kind},
    failure::{Cause, PanicWatch},
    process::{self, Limits, NotAWorker},
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
#[must_use = "a Runner does nothing until it is started"]
pub struct Runner<R> {
    runner: R,
    workers: Option<usize>,
    order: Order,
    membarrier: bool,
    tolerate_dead: bool,
    /// The engine of worker processes, if they are wanted: only then must the runner be able to travel.
    processes: Option<RunOnProcesses<R>>,
    threads: Option<usize>,
    lease: Duration,
    limits: Limits,
    prefixed: bool,
    #[cfg(feature = "ctrlc")]
    ctrlc: bool,
}

type RunOnProcesses<R> =
    fn(&R, process::Setup, &Arc<Stop>) -> Result<(Finished, Option<Kind>), Error>;

/// A worker renews its leases three times in one.
const SHORTEST_LEASE: Duration = Duration::from_millis(100);

/// How long a worker process may say nothing until others take over what it has.
const LEASE: Duration = Duration::from_secs(10);

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
            processes: None,
            threads: None,
            lease: LEASE,
            limits: Limits::default(),
            prefixed: false,
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
    /// Default: off. A library does not take the signal uninvited.
    ///
    /// This method is there with the feature `ctrlc`, which is not among the default ones:
    ///
    /// ```toml
    /// [dependencies]
    /// prunner = { version = "0.1", features = ["ctrlc"] }
    /// ```
    #[cfg(feature = "ctrlc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "ctrlc")))]
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

    /// Runs handlers in worker processes instead of threads: [`workers`](Runner::workers) of them. A
    /// worker that crashes, is killed or runs out of memory loses nothing and doubles nothing: what it
    /// had not committed is run by others. A task that kills its worker three times, when nothing runs
    /// beside it, is dead.
    ///
    /// `begin` and `end` run in the calling process. `main` must call
    /// [`worker_entry`](crate::worker_entry) first, because a worker is this program started again. The
    /// runner is sent to each worker once; tasks, arguments and values of the dict travel as bytes.
    ///
    /// Worker processes are there on Unix.
    pub fn processes(mut self) -> Self
    where
        R: Serialize + DeserializeOwned + 'static,
        R::Task: Serialize + DeserializeOwned + 'static,
    {
        self.processes = Some(process::run::<R>);
        self
    }

    /// How many threads of each worker process run handlers; one unless it is set. Only for
    /// [processes](Runner::processes): on threads, set the number of [workers](Runner::workers).
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How much memory each worker process may use for its data, in bytes. A handler that asks for more
    /// aborts its worker. Only for [processes](Runner::processes).
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.limits.memory = Some(bytes);
        self
    }

    /// How much CPU time a worker process may use without a commit, rounded up to seconds. Commits come
    /// after each handler that takes longer than some milliseconds, so this ends handlers that compute
    /// for ever. Only for [processes](Runner::processes).
    pub fn max_cpu_time(mut self, time: Duration) -> Self {
        self.limits.cpu = Some(time);
        self
    }

    /// How long a handler may run. One that takes longer is given up together with its worker process,
    /// and its task counts as one that has killed its worker. Only for [processes](Runner::processes).
    pub fn max_task_time(mut self, time: Duration) -> Self {
        self.limits.task = Some(time);
        self
    }

    /// How long a worker process may be silent, because it is stopped or the machine is overloaded, until
    /// others take over what it has; 10 s unless it is set. What it commits later counts for nothing. A
    /// running worker renews its leases by itself, however long its handlers take. Only for
    /// [processes](Runner::processes).
    pub fn lease(mut self, time: Duration) -> Self {
        self.lease = time;
        self
    }

    /// Whether lines that worker processes print begin with the number of the process, `[3] `. Otherwise
    /// they inherit the standard output and standard error of this program. Only for
    /// [processes](Runner::processes).
    pub fn prefix_output(mut self, prefix: bool) -> Self {
        self.prefixed = prefix;
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
    /// * worker processes cannot be started, or die one after the other: `end` was not run;
    /// * `begin` failed: the run was stopped and `end` was not run;
    /// * the dict is not whole, because a merge panicked on what finished tasks had merged or a task kept
    ///   the lock for ever: `end` was not run;
    /// * Ctrl-C stopped the run;
    /// * `end` failed;
    /// * tasks died and that is not [tolerated](Runner::tolerate_dead).
    ///
    /// All but the first carry the whole [`Report`]: see [`Error::report`].
    pub fn start(self) -> Result<Report, Error> {
        self.check_process()?;
        let workers = self.worker_count()?;
        let seats = self.seats(workers)?;
        let stop = Arc::new(Stop::new());
        #[cfg(feature = "ctrlc")]
        let _listening = self.ctrlc.then(|| crate::signal::Listening::start(&stop)).transpose()?;
        let _watch = PanicWatch::begin();
        let start = Instant::now();

        log::info!("begin on up to {workers} workers");
        let (mut finished, failed) = match self.processes {
            None => {
                let setup = Setup { workers, order: self.order, membarrier: self.membarrier };
                (engine::run(&self.runner, setup, &stop), None)
            }
            Some(run) => run(&self.runner, self.process_setup(workers, seats), &stop)?,
        };
        let begin = std::mem::replace(&mut finished.begin, Ok(()));
        let broken = finished.broken.take();
        let mut report = Report::new(finished, start.elapsed(), workers);
        if let Err(cause) = begin {
            return Err(Error::of_run(Kind::Begin(cause), report));
        }
        if let Some(kind) = failed.or(broken.map(Kind::Dict)) {
            return Err(Error::of_run(kind, report));
        }

        log::info!("end after {}", report.ledger());
        let end = Cause::of(|| self.runner.end(report.dict()));
        report.set_elapsed(start.elapsed());
        self.judge(end, stop.is_interrupted(), report)
    }

    /// A process that was started as a worker must not start workers of its own.
    fn check_process(&self) -> Result<(), Error> {
        match process::unclaimed() {
            NotAWorker::Program => Ok(()),
            NotAWorker::Unclaimed(runner) => Err(Error::config(format!(
                "this process was started as a worker, and main has not called \
                 prunner::worker_entry::<{runner}>(): call it before anything else in main"
            ))),
        }
    }

    /// The threads of each worker process.
    fn seats(&self, workers: usize) -> Result<u16, Error> {
        if self.processes.is_none() {
            let only = [
                ("threads", self.threads.is_some()),
                ("max_memory", self.limits.memory.is_some()),
                ("max_cpu_time", self.limits.cpu.is_some()),
                ("max_task_time", self.limits.task.is_some()),
                ("prefix_output", self.prefixed),
            ];
            return match only.iter().find(|(_, set)| *set) {
                None => Ok(1),
                Some((what, _)) => Err(Error::config(format!(
                    "{what} is for worker processes: call processes(), too, or leave it out"
                ))),
            };
        }
        let threads = self.threads.unwrap_or(1);
        if threads == 0 {
            let text = "a worker process needs at least 1 thread, not 0: leave threads(0) out";
            return Err(Error::config(text));
        }
        if threads.saturating_mul(workers) > MOST_WORKERS {
            return Err(Error::config(format!(
                "{workers} worker processes of {threads} threads are too many: at most {MOST_WORKERS} \
                 in all"
            )));
        }
        if self.lease < SHORTEST_LEASE {
            return Err(Error::config(format!(
                "a lease of {:?} is too short: at least {SHORTEST_LEASE:?}, else healthy workers lose \
                 theirs",
                self.lease
            )));
        }
        u16::try_from(threads).map_err(|_| Error::config(format!("{threads} threads are too many")))
    }

    fn process_setup(&self, workers: usize, threads: u16) -> process::Setup {
        process::Setup {
            workers,
            threads,
            order: self.order,
            lease: self.lease,
            limits: self.limits,
            prefixed: self.prefixed,
        }
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
            end if interrupted => Kind::Interrupted(end.err()),
            Err(cause) => Kind::End(cause),
            Ok(()) if dead && !self.tolerate_dead => Kind::Dead,
            Ok(()) => return Ok(report),
        };
        Err(Error::of_run(kind, report))
    }
}

impl<R: fmt::Debug> fmt::Debug for Runner<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("runner", &self.runner)
            .field("workers", &self.workers)
            .field("order", &self.order)
            .field("processes", &self.processes.is_some())
            .finish_non_exhaustive()
    }
}
