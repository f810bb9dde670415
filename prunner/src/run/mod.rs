//! One run: begin, work, end.

#[cfg(feature = "ctrlc")]
mod signal;

use std::{
    fmt, mem,
    ops::RangeInclusive,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    engine::{
        Finished,
        stop::Stop,
        threads::{self, Setup},
    },
    error::{Error, Kind},
    failure::{Cause, PanicWatch},
    handler::ParallelTaskRunner,
    process::{self, Limits, NotAWorker},
    queue::Order,
    report::{Ledger, Report},
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
    workers: Option<usize>,
    order: Order,
    membarrier: bool,
    tolerate_dead: bool,
    /// The engine of worker processes, if they are wanted: only then must the runner be able to travel.
    processes: Option<RunOnProcesses<R>>,
    threads: Option<usize>,
    lease: Option<Duration>,
    limits: Limits,
    payload: Option<u64>,
    max_interruptions: Option<u32>,
    max_deaths: Option<u32>,
    start_timeout: Option<Duration>,
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

/// How long a worker process may take until it has reached `worker_entry`.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A time that is as good as any longer one, and can be added to the clock.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How often a task may be interrupted.
const MAX_INTERRUPTIONS: u32 = 20;

/// The shortest and the longest payload that can be set. A frame holds more than the longest one, and what
/// goes with it.
const PAYLOADS: RangeInclusive<u64> = 1 << 10..=process::MOST_PAYLOAD;

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
            lease: None,
            limits: Limits::default(),
            payload: None,
            max_interruptions: None,
            max_deaths: None,
            start_timeout: None,
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
    ///
    /// ```no_run
    /// # use prunner::{MessageLoop, Runner};
    /// let run = Runner::new(MessageLoop::new(|| (), || ())).ctrlc(true);
    /// if run.start().is_err_and(|error| error.is_interrupted()) {
    ///     eprintln!("interrupted");
    /// }
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
    /// case. Switching it off is for tests and comparisons, on threads alone.
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
        self.lease = Some(time);
        self
    }

    /// How large a task may be, and each value that is merged or kept in the dict, in bytes as they travel;
    /// 64 MiB unless it is set, and at most 192 MiB. A task that is larger is dead when it is posted, and the
    /// run goes on; a larger value of the dict ends the run with an error that names it. Only for
    /// [processes](Runner::processes).
    pub fn max_payload(mut self, bytes: u64) -> Self {
        self.payload = Some(bytes);
        self
    }

    /// How often a task may be interrupted until it is dead: its worker process was killed from outside,
    /// or has lost its [lease](Runner::lease). 20 unless it is set; `u32::MAX` is no limit. Only for
    /// [processes](Runner::processes).
    pub fn max_interruptions(mut self, times: u32) -> Self {
        self.max_interruptions = Some(times);
        self
    }

    /// How many worker processes may die one after the other without any progress until the run fails; 30,
    /// or five for each worker if that is more, unless it is set; `u32::MAX` is no limit. Progress is a task
    /// that has finished or died, and also a worker whose death says more about the tasks that it ran: a
    /// task that crashes its workers is dead in the end, however many there are of them. Only for
    /// [processes](Runner::processes).
    pub fn max_deaths(mut self, deaths: u32) -> Self {
        self.max_deaths = Some(deaths);
        self
    }

    /// How long a worker process may take until it has called [`worker_entry`](crate::worker_entry) and is
    /// ready; 10 s unless it is set. Only for [processes](Runner::processes).
    pub fn start_timeout(mut self, time: Duration) -> Self {
        self.start_timeout = Some(time);
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
    /// * tasks were lost or counted twice, which is a fault of prunner itself: `end` was not run;
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
        let _listening = self.ctrlc.then(|| signal::Listening::start(&stop)).transpose()?;
        let _watch = PanicWatch::begin();
        let start = Instant::now();

        log::info!("begin on up to {workers} workers");
        let (finished, failed) = match self.processes {
            None => {
                let setup = Setup { workers, order: self.order, membarrier: self.membarrier };
                (threads::run(&self.runner, setup, &stop), None)
            }
            Some(run) => run(&self.runner, self.process_setup(workers, seats), &stop)?,
        };
        self.conclude(finished, failed, stop.is_interrupted(), workers, start)
    }

    /// Judges a run whose workers have stopped. What went wrong first is told first, and `end` runs only if
    /// the answer may be right.
    fn conclude(
        &self,
        mut finished: Finished,
        failed: Option<Kind>,
        interrupted: bool,
        workers: usize,
        start: Instant,
    ) -> Result<Report, Error> {
        let begin = mem::replace(&mut finished.begin, Ok(()));
        let broken = finished.broken.take();
        let mut report = Report::new(finished, start.elapsed(), workers);
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
                ("lease", self.lease.is_some()),
                ("max_payload", self.payload.is_some()),
                ("max_interruptions", self.max_interruptions.is_some()),
                ("max_deaths", self.max_deaths.is_some()),
                ("start_timeout", self.start_timeout.is_some()),
                ("prefix_output", self.prefixed),
            ];
            return match only.iter().find(|(_, set)| *set) {
                None => Ok(1),
                Some((what, _)) => Err(Error::config(format!(
                    "{what} is for worker processes: call processes(), too, or leave it out"
                ))),
            };
        }
        if !self.membarrier {
            return Err(Error::config(
                "membarrier(false) is for threads: leave it out where processes() is called",
            ));
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
        self.check_process_settings()?;
        u16::try_from(threads).map_err(|_| Error::config(format!("{threads} threads are too many")))
    }

    /// Settings of worker processes that cannot work.
    fn check_process_settings(&self) -> Result<(), Error> {
        if let Some(lease) = self.lease.filter(|lease| *lease < SHORTEST_LEASE) {
            return Err(Error::config(format!(
                "a lease of {lease:?} is too short: at least {SHORTEST_LEASE:?}, else healthy workers \
                 lose theirs"
            )));
        }
        if let Some(bytes) = self.payload.filter(|bytes| !PAYLOADS.contains(bytes)) {
            let (least, most) = (PAYLOADS.start(), PAYLOADS.end());
            return Err(Error::config(format!(
                "a max_payload of {bytes} bytes cannot be: at least {least} and at most {most}"
            )));
        }
        let times = [
            ("start_timeout", self.start_timeout),
            ("max_task_time", self.limits.task),
            ("max_cpu_time", self.limits.cpu),
        ];
        if let Some((what, _)) = times.iter().find(|(_, time)| *time == Some(Duration::ZERO)) {
            return Err(Error::config(format!("{what} of 0 s leaves no time for anything")));
        }
        if !self.membarrier {
            return Err(Error::config(
                "membarrier(false) is for threads: leave it out, or leave out processes()",
            ));
        }
        Ok(())
    }

    fn process_setup(&self, workers: usize, threads: u16) -> process::Setup {
        let limited = |time: Option<Duration>| time.filter(|time| *time < FOR_EVER);
        let limits = Limits {
            cpu: limited(self.limits.cpu),
            task: limited(self.limits.task),
            payload: self.payload.unwrap_or(Limits::default().payload),
            ..self.limits
        };
        let most = u32::try_from(workers).unwrap_or(u32::MAX).saturating_mul(5).max(30);
        process::Setup {
            workers,
            threads,
            order: self.order,
            lease: self.lease.unwrap_or(LEASE).min(FOR_EVER),
            limits,
            max_interruptions: self.max_interruptions.unwrap_or(MAX_INTERRUPTIONS),
            max_deaths: self.max_deaths.unwrap_or(most),
            start_timeout: self.start_timeout.unwrap_or(START_TIMEOUT).min(FOR_EVER),
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
            Ok(()) if dead && !self.tolerate_dead => Kind::Dead,
            Ok(()) => return Ok(report),
        };
        Err(Error::of_run(kind, report))
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
            .field("workers", &self.workers)
            .field("order", &self.order)
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
        let result = runner.conclude(finished, None, interrupted, 1, Instant::now());
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
