//! The four kinds of comparison: time per task, time per run, wake-up latency, CPU use of idle
//! workers.

use std::time::Duration;

use crate::engines::forever;
use crate::harness::flags::Flags;
use crate::harness::pin;
use crate::harness::rounds::{Sample, Summary, Variant, interleave};
use crate::peers::{Contender, Peers};
use crate::workloads::Workload;
use crate::workloads::few::Few;
use crate::workloads::idle::Idle;
use crate::workloads::spin::Spin;
use crate::workloads::wake::Wake;

/// The slow peers get a quarter of the tasks; their time is still given per task.
const LESS: u64 = 4;

/// All engines with one number of workers, ready to be compared.
pub(crate) struct Comparison<'f> {
    flags: &'f Flags,
    workers: usize,
    peers: &'static Peers,
}

impl<'f> Comparison<'f> {
    pub(crate) fn new(flags: &'f Flags, workers: usize) -> Self {
        Comparison { flags, workers, peers: forever(Peers::start(workers, flags.pin)) }
    }

    /// Time per task of the workload that `make` makes for a size, in tasks or numbers.
    pub(crate) fn per_task<W: Workload>(&self, size: u64, make: impl Fn(u64) -> W) -> Vec<Summary> {
        let size = self.flags.size(size);
        let (work, less) = (forever(make(size)), forever(make(size / LESS)));
        self.contest(self.peers.all(work, less), |contender| {
            Sample::time(contender.expected().tasks, || contender.run())
        })
    }

    /// Time per task of tasks that spin for `length`, the same for all engines.
    pub(crate) fn per_spin(&self, tasks: u64, length: Duration) -> Vec<Summary> {
        let work = forever(Spin::new(tasks, length));
        self.contest(self.peers.all(work, work), |contender| {
            Sample::time(tasks, || contender.run())
        })
    }

    /// Time of a whole run with next to nothing in it.
    pub(crate) fn per_run(&self, work: Few) -> Vec<Summary> {
        let (work, runs) = (forever(work), self.flags.size(500));
        self.contest(self.peers.all(work, work), |contender| {
            Sample::time(runs, || (0..runs).for_each(|_| contender.run()))
        })
    }

    /// Age of a task when a sleeping worker has taken it up. In tokio none does: the newest task
    /// stays in its poster's LIFO slot, where nobody can steal it, so that every probe takes as
    /// long as a probe may.
    pub(crate) fn wake(&self, gap: Duration) -> Vec<Summary> {
        let work = forever(Wake::new(self.flags.size(500), gap));
        let less = forever(Wake::new(self.flags.size(20), gap));
        self.contest(self.peers.parallel(work, less), |contender| {
            let sample = Sample::time(1, || contender.run());
            let (median, tail) = contender.work.take_latencies();
            Sample { value: median, tail: Some(tail), ..sample }
        })
    }

    /// CPU use of the workers without work, in percent of one core.
    pub(crate) fn idle(&self, length: Duration) -> Vec<Summary> {
        let work = forever(Idle::new(self.flags.length(length)));
        self.contest(self.peers.pools(work), |contender| {
            let sample = Sample::time(1, || contender.run());
            Sample { value: contender.work.percent(), ..sample }
        })
    }

    fn contest<W: Workload>(
        &self,
        contenders: Vec<Contender<W>>,
        sample: impl Fn(&Contender<W>) -> Sample,
    ) -> Vec<Summary> {
        if self.flags.pin {
            pin::main_thread(self.workers);
        }
        let variants =
            contenders.iter().map(|contender| Variant::new(contender.name, || sample(contender)));
        interleave(variants.collect(), self.flags.rounds())
    }
}
