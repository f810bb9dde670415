//! All engines for one number of workers.

use crate::engines::async_executor::AsyncExecutor;
use crate::engines::channel::Channel;
use crate::engines::condvar::CondvarQueue;
use crate::engines::prunner::Prunner;
use crate::engines::rayon::Rayon;
use crate::engines::serial::Serial;
use crate::engines::tokio::Tokio;
use crate::engines::{Engine, Run};
use crate::workloads::{Answer, Workload};

/// The columns of a result, in their order.
pub(crate) const NAMES: [&str; 7] =
    ["prunner", "serial", "rayon", "tokio", "channel", "condvar", "async_executor"];

/// The engines; the pools among them have started their threads.
pub(crate) struct Peers {
    prunner: Prunner,
    rayon: Rayon,
    tokio: Tokio,
    channel: Channel,
    condvar: CondvarQueue,
    async_executor: AsyncExecutor,
}

/// A workload on an engine, ready to run.
pub(crate) struct Contender<W: 'static> {
    pub(crate) name: &'static str,
    pub(crate) work: &'static W,
    run: Run,
}

impl<W: Workload> Contender<W> {
    fn new(name: &'static str, engine: &'static impl Engine, work: &'static W) -> Self {
        Contender { name, work, run: engine.prepare(work) }
    }

    /// Runs the workload and checks the answer.
    pub(crate) fn run(&self) {
        assert_eq!((self.run)(), self.expected(), "{} gave a wrong answer", self.name);
    }

    pub(crate) fn expected(&self) -> Answer {
        self.work.expected()
    }
}

impl Peers {
    pub(crate) fn start(workers: usize, pinned: bool) -> Peers {
        Peers {
            prunner: Prunner { workers, pinned },
            rayon: Rayon::new(workers, pinned),
            tokio: Tokio::new(workers, pinned),
            channel: Channel { workers, pinned },
            condvar: CondvarQueue { workers, pinned },
            async_executor: AsyncExecutor::new(workers, pinned),
        }
    }

    /// Every engine with `work`, the slow ones with `less` of it.
    pub(crate) fn all<W: Workload>(
        &'static self,
        work: &'static W,
        less: &'static W,
    ) -> Vec<Contender<W>> {
        let [prunner, serial, rayon, tokio, channel, condvar, async_executor] = NAMES;
        vec![
            Contender::new(prunner, &self.prunner, work),
            Contender::new(serial, &Serial, work),
            Contender::new(rayon, &self.rayon, work),
            Contender::new(tokio, &self.tokio, less),
            Contender::new(channel, &self.channel, less),
            Contender::new(condvar, &self.condvar, less),
            Contender::new(async_executor, &self.async_executor, less),
        ]
    }

    /// The engines with more than one worker, tokio with `less` of it.
    pub(crate) fn parallel<W: Workload>(
        &'static self,
        work: &'static W,
        less: &'static W,
    ) -> Vec<Contender<W>> {
        let [prunner, _serial, rayon, tokio, channel, condvar, async_executor] = NAMES;
        vec![
            Contender::new(prunner, &self.prunner, work),
            Contender::new(rayon, &self.rayon, work),
            Contender::new(tokio, &self.tokio, less),
            Contender::new(channel, &self.channel, work),
            Contender::new(condvar, &self.condvar, work),
            Contender::new(async_executor, &self.async_executor, work),
        ]
    }

    /// prunner, rayon and tokio. In the others an idle worker blocks in the kernel by construction.
    pub(crate) fn pools<W: Workload>(&'static self, work: &'static W) -> Vec<Contender<W>> {
        let [prunner, _serial, rayon, tokio, ..] = NAMES;
        vec![
            Contender::new(prunner, &self.prunner, work),
            Contender::new(rayon, &self.rayon, work),
            Contender::new(tokio, &self.tokio, work),
        ]
    }
}
