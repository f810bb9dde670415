//! How long the tasks of one label take, measured so seldom that it costs nothing.

use std::{
    mem,
    sync::OnceLock,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::broker::Timing;

/// A task of this length or longer is measured every time; down to [`SHORT`] it is measured the more
/// seldom the shorter it is, so that reading the clock costs about one per cent.
const ALWAYS: Duration = Duration::from_micros(5);

/// What is shorter is measured once in [`SELDOM`] times.
const SHORT: Duration = Duration::from_micros(1);
const SELDOM: u64 = 512;

/// How many times are kept as they are before a histogram is made.
const FEW: usize = 8;

/// What reading the clock twice takes, measured once for the process and taken off every duration:
/// for the shortest tasks it is most of what the clock shows.
pub(crate) fn clock_cost() -> Duration {
    static COST: OnceLock<Duration> = OnceLock::new();
    let read_twice = || {
        let start = Instant::now();
        start.elapsed()
    };
    *COST.get_or_init(|| (0..10).map(|_| read_twice()).min().unwrap_or_default())
}

/// Measures one task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    started: Instant,
    /// What is taken off: see [`clock_cost`].
    cost: Duration,
}

impl Stopwatch {
    /// From now on.
    pub(crate) fn start() -> Self {
        Self { cost: clock_cost(), started: Instant::now() }
    }

    /// The time since the start, without what it took to look.
    pub(crate) fn elapsed(self) -> Duration {
        self.started.elapsed().saturating_sub(self.cost)
    }
}

/// A sample of durations: every long task, some of the short ones.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    few: Vec<u64>,
    /// Nanoseconds; made when there are more than a few.
    many: Option<Box<Histogram<u64>>>,
    /// The sum of the measured durations, each weighted by the tasks it stands for, in nanoseconds.
    weighted: u128,
    /// The tasks that the weighted sum stands for.
    weight: u64,
    /// The task up to which durations are accounted for.
    accounted: u64,
}

impl Times {
    pub(crate) fn new() -> Self {
        Self { few: Vec::new(), many: None, weighted: 0, weight: 0, accounted: 0 }
    }

    /// Notes how long the `started`th task took; returns after how many more the next one is to be
    /// measured.
    pub(crate) fn add(&mut self, took: Duration, started: u64) -> u64 {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let stands_for = started.saturating_sub(self.accounted);
        self.accounted = started;
        self.weight += stands_for;
        self.weighted += u128::from(nanos) * u128::from(stands_for);
        self.keep(nanos);
        if took < SHORT { SELDOM } else { (ALWAYS.as_nanos() as u64 / nanos).max(1) }
    }

    /// Adds what another worker has measured.
    pub(crate) fn join(&mut self, other: &Times) {
        self.weight = self.weight.saturating_add(other.weight);
        self.weighted = self.weighted.saturating_add(other.weighted);
        other.few.iter().for_each(|&nanos| self.keep(nanos));
        if let Some(theirs) = &other.many {
            let mine = self.many.get_or_insert_with(new_histogram);
            mine.add(&**theirs).expect("all histograms have the same bounds");
        }
    }

    /// Takes out what has been measured; which task is measured next stays as it is.
    pub(crate) fn take(&mut self) -> Timing {
        let mut samples: Vec<(u64, u64)> = self.few.drain(..).map(|nanos| (nanos, 1)).collect();
        if let Some(many) = &mut self.many {
            let counted = many.iter_recorded();
            samples.extend(counted.map(|it| (it.value_iterated_to(), it.count_at_value())));
            many.reset();
        }
        let nanos = u64::try_from(mem::take(&mut self.weighted)).unwrap_or(u64::MAX);
        Timing { tasks: mem::take(&mut self.weight), nanos, samples }
    }

    /// What other workers have measured.
    pub(crate) fn of(timing: &Timing) -> Self {
        let mut times = Self::new();
        (times.weight, times.weighted) = (timing.tasks, u128::from(timing.nanos));
        for &(nanos, count) in &timing.samples {
            let many = times.many.get_or_insert_with(new_histogram);
            many.saturating_record_n(nanos.max(1), count);
        }
        times
    }

    fn keep(&mut self, nanos: u64) {
        match &mut self.many {
            Some(many) => many.saturating_record(nanos),
            None if self.few.len() < FEW => self.few.push(nanos),
            None => {
                let mut many = new_histogram();
                self.few.drain(..).for_each(|nanos| many.saturating_record(nanos));
                many.saturating_record(nanos);
                self.many = Some(many);
            }
        }
    }

    /// How many tasks were measured.
    pub(crate) fn samples(&self) -> u64 {
        self.few.len() as u64 + self.many.as_ref().map_or(0, |many| many.len())
    }

    /// The mean over all tasks.
    pub(crate) fn mean(&self) -> Option<Duration> {
        let mean = self.weighted.checked_div(u128::from(self.weight))?;
        Some(Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX)))
    }

    /// The duration that `quantile` (0.5 for the median) of the measured tasks did not exceed.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<Duration> {
        let mut all = self.many.clone().unwrap_or_else(new_histogram);
        self.few.iter().for_each(|&nanos| all.saturating_record(nanos));
        let some = !all.is_empty();
        some.then(|| Duration::from_nanos(all.value_at_quantile(quantile)))
    }
}

/// One nanosecond to an hour, within one per cent.
fn new_histogram() -> Box<Histogram<u64>> {
    const HOUR: u64 = 3_600_000_000_000;
    Box::new(Histogram::new_with_bounds(1, HOUR, 2).expect("the bounds are in order"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `tasks` durations as a worker would and returns what was sampled.
    fn sampled(tasks: u64, took: impl Fn(u64) -> Duration) -> Times {
        let (mut times, mut due) = (Times::new(), 1);
        for task in 1..=tasks {
            if task >= due {
                due += times.add(took(task), task);
            }
        }
        times
    }

    #[test]
    fn the_cost_of_the_clock_is_taken_off() {
        assert_eq!(Stopwatch::start().cost, clock_cost());
        let hour = Duration::from_secs(3600);
        let watch = Stopwatch { cost: hour, ..Stopwatch::start() };
        assert_eq!(watch.elapsed(), Duration::ZERO);
    }

    #[test]
    fn long_tasks_are_measured_every_time() {
        let times = sampled(1000, |_| Duration::from_micros(10));
        assert_eq!(times.samples(), 1000);
        assert_eq!(times.mean(), Some(Duration::from_micros(10)));
    }

    #[test]
    fn short_tasks_are_measured_seldom() {
        let times = sampled(100_000, |_| Duration::from_nanos(5));
        assert_eq!(times.samples(), 100_000_u64.div_ceil(SELDOM));
        assert_eq!(times.mean(), Some(Duration::from_nanos(5)));
    }

    #[test]
    fn few_and_many_samples_tell_the_same() {
        for tasks in [1, 3, FEW as u64, FEW as u64 + 1, 50] {
            let times = sampled(tasks, |_| Duration::from_millis(1));
            let median = times.quantile(0.5).expect("there are samples").as_secs_f64();
            assert!((median - 1e-3).abs() < 1e-5, "{tasks} tasks: {median}");
        }
        assert_eq!(Times::new().quantile(0.5), None);
        assert_eq!(Times::new().mean(), None);
    }

    #[test]
    fn joined_times_are_those_of_both() {
        let mut times = sampled(3, |_| Duration::from_millis(1));
        times.join(&sampled(100, |_| Duration::from_millis(3)));
        assert_eq!(times.samples(), 103);
        let mean = times.mean().expect("there are samples");
        assert_eq!(mean.as_nanos(), (3 * 1_000_000 + 100 * 3_000_000) / 103);
    }
}
