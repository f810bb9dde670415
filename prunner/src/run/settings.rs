//! The builder: each method is one setting.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use super::Runner;
use crate::{handler::ParallelTaskRunner, process, queue::Order, settings::Settings};

impl<R: ParallelTaskRunner> Runner<R> {
    /// A run of `runner` with the default settings.
    pub fn new(runner: R) -> Self {
        Self { runner, settings: Settings::default(), processes: None }
    }

    /// How many workers run handlers at the same time; the number of CPUs unless it is set.
    ///
    /// Worker 0 is the thread that calls [`start`](Runner::start); the others are started when there
    /// is work for them. More workers than CPUs are good for handlers that wait for I/O.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.engine.workers = Some(workers);
        self
    }

    /// In which order each worker takes its tasks; newest first unless it is set.
    pub fn order(mut self, order: Order) -> Self {
        self.settings.engine.order = order;
        self
    }

    /// Whether the run may be a success although tasks have died. The report tells of them.
    pub fn tolerate_dead(mut self, tolerate: bool) -> Self {
        self.settings.tolerate_dead = tolerate;
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
        self.settings.ctrlc = stop;
        self
    }

    /// Whether queues may rely on `membarrier(2)`, which is faster; they do, where it works.
    ///
    /// Where it does not (it is Linux's, and some sandboxes forbid it) another queue is used in any
    /// case. Switching it off is for tests and comparisons, on threads alone.
    pub fn membarrier(mut self, allow: bool) -> Self {
        self.settings.engine.membarrier = allow;
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
        self.settings.host.threads = threads;
        self.for_processes("threads")
    }

    /// How much memory each worker process may use for its data, in bytes. A handler that asks for more
    /// aborts its worker. Only for [processes](Runner::processes).
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.settings.limits.memory = Some(bytes);
        self.for_processes("max_memory")
    }

    /// How much CPU time a worker process may use without a commit, rounded up to seconds. Commits come
    /// after each handler that takes longer than some milliseconds, so this ends handlers that compute
    /// for ever. Only for [processes](Runner::processes).
    pub fn max_cpu_time(mut self, time: Duration) -> Self {
        self.settings.limits.cpu = Some(time);
        self.for_processes("max_cpu_time")
    }

    /// How long a handler may run. One that takes longer is given up together with its worker process,
    /// and its task counts as one that has killed its worker. Only for [processes](Runner::processes).
    pub fn max_task_time(mut self, time: Duration) -> Self {
        self.settings.limits.task = Some(time);
        self.for_processes("max_task_time")
    }

    /// How long a worker process may be silent, because it is stopped or the machine is overloaded, until
    /// others take over what it has; 10 s unless it is set. What it commits later counts for nothing. A
    /// running worker renews its leases by itself, however long its handlers take. Only for
    /// [processes](Runner::processes).
    pub fn lease(mut self, time: Duration) -> Self {
        self.settings.lease.time = time;
        self.for_processes("lease")
    }

    /// How large a task may be, and each value that is merged or kept in the dict, in bytes as they travel;
    /// 64 MiB unless it is set, and at most 192 MiB. A task that is larger is dead when it is posted, and the
    /// run goes on; a larger value of the dict ends the run with an error that names it. Only for
    /// [processes](Runner::processes).
    pub fn max_payload(mut self, bytes: u64) -> Self {
        self.settings.limits.payload = bytes;
        self.for_processes("max_payload")
    }

    /// How often a task may be interrupted until it is dead: its worker process was killed from outside,
    /// or has lost its [lease](Runner::lease). 20 unless it is set; `u32::MAX` is no limit. Only for
    /// [processes](Runner::processes).
    pub fn max_interruptions(mut self, times: u32) -> Self {
        self.settings.lease.max_interruptions = times;
        self.for_processes("max_interruptions")
    }

    /// How many worker processes may die one after the other without any progress until the run fails; 30,
    /// or five for each worker if that is more, unless it is set; `u32::MAX` is no limit. Progress is a task
    /// that has finished or died, and also a worker whose death says more about the tasks that it ran: a
    /// task that crashes its workers is dead in the end, however many there are of them. Only for
    /// [processes](Runner::processes).
    pub fn max_deaths(mut self, deaths: u32) -> Self {
        self.settings.host.max_deaths = Some(deaths);
        self.for_processes("max_deaths")
    }

    /// How long a worker process may take until it has called [`worker_entry`](crate::worker_entry) and is
    /// ready; 10 s unless it is set. Only for [processes](Runner::processes).
    pub fn start_timeout(mut self, time: Duration) -> Self {
        self.settings.host.start_timeout = time;
        self.for_processes("start_timeout")
    }

    /// Whether lines that worker processes print begin with the number of the process, `[3] `. Otherwise
    /// they inherit the standard output and standard error of this program. Only for
    /// [processes](Runner::processes).
    pub fn prefix_output(mut self, prefix: bool) -> Self {
        self.settings.host.prefix_output = prefix;
        self
    }

    /// Notes a setting that threads do not have.
    fn for_processes(mut self, what: &'static str) -> Self {
        self.settings.for_processes.get_or_insert(what);
        self
    }
}
