//! The settings of a run. There is no other form of them: the builder fills it in, here it is checked,
//! once, and each part of the run is given the group that it needs.

use std::{ops::RangeInclusive, thread, time::Duration};

use serde::{Deserialize, Serialize};

use crate::queue::Order;

/// All settings of one run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) engine: EngineSettings,
    pub(crate) host: HostSettings,
    pub(crate) lease: LeaseSettings,
    pub(crate) limits: Limits,
    /// Dead tasks are no failure of the run.
    pub(crate) tolerate_dead: bool,
    /// Ctrl-C stops the run.
    #[cfg(feature = "ctrlc")]
    pub(crate) ctrlc: bool,
    /// The first setting that was called and is for worker processes alone.
    pub(crate) for_processes: Option<&'static str>,
}

/// What runs handlers, on any engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineSettings {
    /// How many workers, if that was set; once the settings are checked it is.
    pub(crate) workers: Option<usize>,
    pub(crate) order: Order,
    /// Queues may rely on `membarrier(2)`.
    pub(crate) membarrier: bool,
}

/// How worker processes are started and replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostSettings {
    /// Threads of each that run handlers.
    pub(crate) threads: usize,
    /// How long one may take until it is ready.
    pub(crate) start_timeout: Duration,
    /// How many may die one after the other without progress, if that was set.
    pub(crate) max_deaths: Option<u32>,
    /// Lines that they print begin with their number.
    pub(crate) prefix_output: bool,
}

/// How soon and how often a task is taken from a worker that says nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseSettings {
    /// How long a lease lasts without being renewed.
    pub(crate) time: Duration,
    /// How often a task may be interrupted.
    pub(crate) max_interruptions: u32,
}

/// What a worker may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Memory of a worker process, in bytes.
    pub(crate) memory: Option<u64>,
    /// CPU time of a lease.
    pub(crate) cpu: Option<Duration>,
    /// How long one handler may run.
    pub(crate) task: Option<Duration>,
    /// How large a task may be, a value that is merged, and one of the dict, in bytes.
    pub(crate) payload: u64,
}

/// What each worker that leases its tasks knows of the settings: it travels to worker processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// How many threads of a worker process run handlers.
    pub(crate) seats: u16,
    /// How many threads of all processes do.
    pub(crate) all_seats: u32,
    pub(crate) order: Order,
    /// How long a lease lasts without being renewed.
    pub(crate) lease: Duration,
    pub(crate) limits: Limits,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { workers: None, order: Order::default(), membarrier: true }
    }
}

impl Default for HostSettings {
    fn default() -> Self {
        let start_timeout = Duration::from_secs(10);
        Self { threads: 1, start_timeout, max_deaths: None, prefix_output: false }
    }
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), max_interruptions: 20 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: None, cpu: None, task: None, payload: 64 << 20 }
    }
}

/// A worker renews its leases three times in one.
const SHORTEST_LEASE: Duration = Duration::from_millis(100);

/// A time that is as good as any longer one, and can be added to the clock.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The largest [`payload`](Limits::payload) that can be set: a frame holds more, and what goes with it.
pub(crate) const MOST_PAYLOAD: u64 = 192 << 20;

/// The shortest and the longest payload that can be set.
const PAYLOADS: RangeInclusive<u64> = 1 << 10..=MOST_PAYLOAD;

/// More threads than this are a mistake, not a wish.
const MOST_WORKERS: usize = 65_536;

impl Settings {
    /// These settings, if a run can work with them; all that comes after relies on that.
    ///
    /// # Errors
    ///
    /// The first that cannot work, with the cure.
    pub(crate) fn checked(mut self, on_processes: bool) -> Result<Self, String> {
        self.engine.workers = Some(self.engine.count_workers()?);
        if on_processes {
            self.check_seats()?;
            self.lease.check()?;
            self.check_bounds()?;
            self.host.count_seats()?;
        } else if let Some(what) = self.set_for_processes() {
            return Err(format!(
                "{what} is for worker processes: call processes(), too, or leave it out"
            ));
        }
        self.bound_times();
        Ok(self)
    }

    /// A setting that was called and is for worker processes alone.
    fn set_for_processes(&self) -> Option<&'static str> {
        self.for_processes.or(self.host.prefix_output.then_some("prefix_output"))
    }

    /// Whether so many threads of worker processes can be.
    fn check_seats(&self) -> Result<(), String> {
        let (workers, threads) = (self.engine.workers(), self.host.threads);
        if !self.engine.membarrier {
            return Err(
                "membarrier(false) is for threads: leave it out where processes() is called".into(),
            );
        }
        if threads == 0 {
            return Err(
                "a worker process needs at least 1 thread, not 0: leave threads(0) out".into()
            );
        }
        if threads.saturating_mul(workers) > MOST_WORKERS {
            return Err(format!(
                "{workers} worker processes of {threads} threads are too many: at most {MOST_WORKERS} in \
                 all"
            ));
        }
        Ok(())
    }

    /// Whether payloads and times leave room for anything.
    fn check_bounds(&self) -> Result<(), String> {
        let Limits { cpu, task, payload, .. } = self.limits;
        if !PAYLOADS.contains(&payload) {
            let (least, most) = (PAYLOADS.start(), PAYLOADS.end());
            return Err(format!(
                "a max_payload of {payload} bytes cannot be: at least {least} and at most {most}"
            ));
        }
        let times = [
            ("start_timeout", Some(self.host.start_timeout)),
            ("max_task_time", task),
            ("max_cpu_time", cpu),
        ];
        match times.iter().find(|(_, time)| *time == Some(Duration::ZERO)) {
            Some((what, _)) => Err(format!("{what} of 0 s leaves no time for anything")),
            None => Ok(()),
        }
    }

    /// Makes times that can be added to the clock of those that are longer than any run.
    fn bound_times(&mut self) {
        let limited = |time: Option<Duration>| time.filter(|time| *time < FOR_EVER);
        self.limits.cpu = limited(self.limits.cpu);
        self.limits.task = limited(self.limits.task);
        self.lease.time = self.lease.time.min(FOR_EVER);
        self.host.start_timeout = self.host.start_timeout.min(FOR_EVER);
    }

    /// How many worker processes may die one after the other without progress.
    pub(crate) fn max_deaths(&self) -> u32 {
        let workers = u32::try_from(self.engine.workers()).unwrap_or(u32::MAX);
        self.host.max_deaths.unwrap_or(workers.saturating_mul(5).max(30))
    }

    /// What workers know of these settings.
    pub(crate) fn terms(&self) -> Terms {
        let seats = self.host.seats();
        let all_seats = self.engine.workers().saturating_mul(usize::from(seats));
        Terms {
            seats,
            all_seats: u32::try_from(all_seats).unwrap_or(u32::MAX),
            order: self.engine.order,
            lease: self.lease.time,
            limits: self.limits,
        }
    }

    /// Those of one worker process of one thread, which must not die.
    #[cfg(test)]
    pub(crate) fn of_a_test(lease: Duration) -> Self {
        Self {
            engine: EngineSettings { workers: Some(1), ..EngineSettings::default() },
            host: HostSettings {
                start_timeout: lease,
                max_deaths: Some(0),
                ..HostSettings::default()
            },
            lease: LeaseSettings { time: lease, max_interruptions: 0 },
            ..Self::default()
        }
    }
}

impl EngineSettings {
    /// How many workers run handlers at the same time.
    pub(crate) fn workers(&self) -> usize {
        self.count_workers().expect("the settings were checked")
    }

    fn count_workers(&self) -> Result<usize, String> {
        match self.workers {
            // Not before it is needed: to count them files are read.
            None => Ok(thread::available_parallelism().map_or(1, usize::from)),
            Some(0) => Err("a run needs at least 1 worker, not 0: call workers(n) with a higher \
                            n, or leave it out for one worker a CPU"
                .into()),
            Some(workers) if workers > MOST_WORKERS => {
                Err(format!("{workers} workers are too many: at most {MOST_WORKERS}"))
            }
            Some(workers) => Ok(workers),
        }
    }
}

impl HostSettings {
    /// The threads of each worker process, as they are numbered.
    pub(crate) fn seats(&self) -> u16 {
        self.count_seats().expect("the settings were checked")
    }

    fn count_seats(&self) -> Result<u16, String> {
        u16::try_from(self.threads).map_err(|_| format!("{} threads are too many", self.threads))
    }
}

impl LeaseSettings {
    fn check(&self) -> Result<(), String> {
        if self.time >= SHORTEST_LEASE {
            return Ok(());
        }
        let lease = self.time;
        Err(format!(
            "a lease of {lease:?} is too short: at least {SHORTEST_LEASE:?}, else healthy workers lose \
             theirs"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_processes(change: impl FnOnce(&mut Settings)) -> Result<Settings, String> {
        let mut settings = Settings::of_a_test(Duration::from_secs(1));
        change(&mut settings);
        settings.checked(true)
    }

    /// A time is added to the clock, which must not overflow.
    #[test]
    fn times_longer_than_any_run_are_no_limits() {
        let settings = of_processes(|it| {
            (it.lease.time, it.host.start_timeout) = (Duration::MAX, Duration::MAX);
            it.limits.task = Some(Duration::MAX);
            it.limits.cpu = Some(Duration::from_secs(1));
        });
        let settings = settings.expect("no time is too long");
        assert_eq!((settings.lease.time, settings.host.start_timeout), (FOR_EVER, FOR_EVER));
        assert_eq!(settings.limits.task, None);
        assert_eq!(settings.terms().limits.cpu, Some(Duration::from_secs(1)));
    }

    #[test]
    fn seats_are_those_of_all_workers_and_can_be_numbered() {
        let terms = of_processes(|it| (it.engine.workers, it.host.threads) = (Some(3), 4));
        let terms = terms.expect("these are not many").terms();
        assert_eq!((terms.seats, terms.all_seats), (4, 12));
        let most = of_processes(|it| it.host.threads = 65_535).expect("as many as have numbers");
        assert_eq!(most.terms().all_seats, 65_535);
        let why = of_processes(|it| it.host.threads = 65_536).expect_err("one too many");
        assert_eq!(why, "65536 threads are too many");
        let why = of_processes(|it| (it.engine.workers, it.host.threads) = (Some(2), 32_769));
        assert!(why.expect_err("some too many").contains("at most 65536 in all"));
    }

    #[test]
    fn more_workers_may_die_where_there_are_more() {
        for (workers, deaths) in [(1, 30), (6, 30), (7, 35), (65_536, 327_680)] {
            let engine = EngineSettings { workers: Some(workers), ..EngineSettings::default() };
            assert_eq!(Settings { engine, ..Settings::default() }.max_deaths(), deaths);
        }
        let host = HostSettings { max_deaths: Some(0), ..HostSettings::default() };
        assert_eq!(Settings { host, ..Settings::default() }.max_deaths(), 0);
    }
}
