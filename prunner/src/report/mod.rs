//! The report of a run that is over.

mod serialized;
mod table;

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::{
    dict::Dict,
    engine::Finished,
    failure::Failure,
    stats::{LabelStats, Times},
    text,
};

/// Everything about a run that is over: the ledger, counts and times by label, failures, the dict.
///
/// `Display` prints it for a terminal: of more than 100 labels those with the most dead tasks, then those
/// with the most tasks.
///
/// # Serialized
///
/// The fields are [`ledger`](Ledger), [`labels`](LabelReport) and [`failures`](Failure), both lists,
/// `elapsed_ns`, `workers` and `workers_started`. They stay. The dict is not among them: read what is
/// wanted of it by its keys.
///
/// # Examples
///
/// ```
/// use prunner::{Key, MessageLoop, Runner, Sum, merge, post_task};
///
/// const SUM: Key<Sum<u64>> = Key::new("sum");
///
/// fn add(n: u64) {
///     merge(SUM, Sum(n));
/// }
///
/// let begin = || (1..=10).for_each(|n| post_task(add, n));
/// let report = Runner::new(MessageLoop::new(begin, || ())).workers(2).start()?;
/// assert_eq!(report.ledger().finished, 10);
/// assert_eq!(report.labels().len(), 1);
/// assert_eq!(report.label("no such task").map(|label| label.finished()), None);
/// assert!(report.failures().is_empty() && report.workers_started() <= report.workers());
/// assert_eq!(report.dict().get(SUM), Some(Sum(55)));
/// println!("{report}\nafter {:?}", report.elapsed());
/// assert_eq!(report.into_dict().remove(SUM), Some(Sum(55)));
/// # Ok::<(), prunner::Error>(())
/// ```
#[derive(Debug)]
pub struct Report {
    ledger: Ledger,
    labels: Vec<LabelReport>,
    failures: Vec<Failure>,
    dict: Dict,
    elapsed: Duration,
    workers: usize,
    started: usize,
}

/// The tasks of a run by what happened to them: `posted = finished + dead + left`, always.
///
/// Serialized, it has its four fields.
///
/// ```
/// use prunner::{MessageLoop, Runner, post_task};
///
/// let begin = || (0..4).for_each(|n: u32| post_task(|n| assert_ne!(n, 2), n));
/// let run = Runner::new(MessageLoop::new(begin, || ())).tolerate_dead(true);
/// let ledger = run.start()?.ledger();
/// assert_eq!((ledger.posted, ledger.finished, ledger.dead, ledger.left), (4, 3, 1, 0));
/// assert_eq!(ledger.to_string(), "posted 4 = finished 3 + dead 1");
/// # Ok::<(), prunner::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ledger {
    /// Tasks that were posted.
    pub posted: u64,
    /// Tasks whose handler returned `Ok`.
    pub finished: u64,
    /// Tasks whose handler failed.
    pub dead: u64,
    /// Tasks that never started because the run was stopped.
    pub left: u64,
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { posted, finished, dead, left } = self;
        write!(f, "posted {posted} = finished {finished} + dead {dead}")?;
        if *left > 0 {
            write!(f, " + left {left}")?;
        }
        Ok(())
    }
}

/// The tasks of one label.
///
/// Labels are kept as a [`Failure`] keeps them, shortened to 256 bytes and without control characters.
/// Those that are the same after that are counted together.
///
/// # Serialized
///
/// The fields are `label`, `finished`, `dead` and `measured`, then in nanoseconds, or null if nothing was
/// measured, `mean_ns`, `median_ns`, `p99_ns` and `longest_ns`. They stay.
///
/// # Examples
///
/// ```
/// use prunner::{MessageLoop, Runner, post_task};
///
/// fn work(n: u64) {
///     std::hint::black_box((0..n).sum::<u64>());
/// }
///
/// let begin = || (0..100).for_each(|n| post_task(work, n));
/// let report = Runner::new(MessageLoop::new(begin, || ())).start()?;
/// let [work] = report.labels() else { panic!("there is one label") };
/// assert_eq!((work.finished(), work.dead()), (100, 0));
/// println!("{}: {:?} on average", work.label(), work.mean());
/// println!("the longest of {}: {:?}", work.measured(), work.quantile(1.0));
/// # Ok::<(), prunner::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LabelReport {
    label: String,
    finished: u64,
    dead: u64,
    times: Times,
}

impl LabelReport {
    /// The label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How many of its tasks finished.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// How many of its tasks died.
    pub fn dead(&self) -> u64 {
        self.dead
    }

    /// How long its handlers took on average, if any has run.
    ///
    /// Tasks of 5 us and more are measured every time; shorter ones the more seldom the shorter they
    /// are, down to one in 512, so that measuring costs next to nothing.
    pub fn mean(&self) -> Option<Duration> {
        self.times.mean()
    }

    /// The duration that this share of its measured handlers did not exceed, within 1 %: 0.5 for the
    /// median, 1.0 for the longest. Long handlers are measured more often than short ones, so in a label
    /// that has both the quantiles lean to the long ones; the mean does not.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        self.times.quantile(share)
    }

    /// How many of its handlers were measured.
    pub fn measured(&self) -> u64 {
        self.times.samples()
    }
}

impl Report {
    pub(crate) fn new(finished: Finished, elapsed: Duration, workers: usize) -> Self {
        let totals = finished.totals;
        Self {
            ledger: Ledger {
                posted: totals.posted,
                finished: totals.finished,
                dead: totals.dead,
                left: finished.left,
            },
            labels: by_label(finished.rows),
            failures: finished.failures,
            dict: finished.dict,
            elapsed,
            workers,
            started: finished.started,
        }
    }

    pub(crate) fn set_elapsed(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }

    /// The ledger.
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// Counts and times by label, in the order of the labels.
    pub fn labels(&self) -> &[LabelReport] {
        &self.labels
    }

    /// The tasks of one label.
    pub fn label(&self, label: &str) -> Option<&LabelReport> {
        let label = text::label(label);
        self.labels.iter().find(|row| row.label == label)
    }

    /// How the first tasks died, at most 100 of them; the [ledger](Report::ledger) counts all.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The dict at the end, everything joined.
    pub fn dict(&self) -> &Dict {
        &self.dict
    }

    /// The dict at the end, to be taken apart.
    pub fn into_dict(self) -> Dict {
        self.dict
    }

    /// How long the run took, from the start of `begin` to the end of `end`.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How many workers the run might have used.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// How many workers were started because there was work for them.
    pub fn workers_started(&self) -> usize {
        self.started
    }

    /// The ledger and the labels.
    pub(crate) fn table(&self) -> impl fmt::Display {
        Table(self)
    }

    /// How many tasks died, and how the first of them.
    pub(crate) fn dead_summary(&self) -> impl fmt::Display {
        DeadSummary { ledger: self.ledger, failures: &self.failures }
    }
}

/// How many failures the text of an error shows.
const SHOWN_FAILURES: usize = 5;

struct DeadSummary<'a> {
    ledger: Ledger,
    failures: &'a [Failure],
}

impl fmt::Display for DeadSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ledger { posted, dead, .. } = self.ledger;
        write!(f, "{dead} of {posted} tasks died")?;
        for failure in self.failures.iter().take(SHOWN_FAILURES) {
            write!(f, "\n  {failure}")?;
        }
        let more = dead.saturating_sub(SHOWN_FAILURES as u64);
        if more > 0 {
            write!(f, "\n  and {more} more")?;
        }
        Ok(())
    }
}

/// Joins the rows of all workers by label.
fn by_label(rows: Vec<LabelStats>) -> Vec<LabelReport> {
    let mut labels: BTreeMap<String, LabelReport> = BTreeMap::new();
    for row in rows {
        let LabelStats { label, finished, dead, times } = row;
        let label = text::label(label);
        match labels.get_mut(&label) {
            Some(known) => {
                known.finished = known.finished.saturating_add(finished);
                known.dead = known.dead.saturating_add(dead);
                known.times.join(&times);
            }
            None => {
                let new = LabelReport { label: label.clone(), finished, dead, times };
                labels.insert(label, new);
            }
        }
    }
    labels.into_values().collect()
}

struct Table<'a>(&'a Report);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { ledger, labels, elapsed, workers, started, .. } = self.0;
        let elapsed = table::Short(*elapsed);
        write!(f, "{ledger} in {elapsed} on {started} of {workers} workers")?;
        table::write(f, labels)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)?;
        if self.ledger.dead > 0 {
            write!(f, "\n{}", self.dead_summary())?;
        }
        Ok(())
    }
}
