//! The same programs on worker processes: what holds on threads holds there.

mod destructors;
mod dict;
mod failures;
mod hooks;
mod loops;
mod nested;
mod order;
mod payload;
mod report;
mod settings;
mod travel;

use prunner::{Error, MessageLoop, Order, Report, Runner};
use prunner_tests::{
    gate::PATIENCE,
    travelling::{Handler, Travelling},
    tree::Tree,
    watchdog::Watchdog,
};

prunner_tests::watched!();

prunner::worker_test!(
    Travelling<destructors::Drops>,
    Travelling<dict::AllKinds>,
    Travelling<dict::Both>,
    Travelling<dict::Chain>,
    Travelling<dict::Increments>,
    Travelling<dict::Keys>,
    Travelling<dict::SumUpByLock>,
    Travelling<failures::Fails>,
    Travelling<failures::FailsUnderTheLock>,
    Travelling<failures::Flushes>,
    Travelling<failures::Spoils>,
    Travelling<hooks::Adds>,
    Travelling<hooks::Meets>,
    Travelling<hooks::Publishes>,
    Travelling<nested::Processes>,
    Travelling<nested::Threads>,
    Travelling<order::Breadth>,
    Travelling<order::Families>,
    Travelling<order::Layers>,
    Travelling<order::Posts>,
    Travelling<order::Ranks>,
    Travelling<payload::Carries>,
    Travelling<payload::Weighs>,
    Travelling<report::Steps>,
    Travelling<report::Works>,
    Travelling<report::Together>,
    Travelling<travel::Adds>,
    Travelling<travel::Passes>,
    MessageLoop,
    MessageLoop<loops::Scale>,
    Tree,
);

/// Worker processes, threads of each, and the order.
#[derive(Clone, Copy, Debug)]
struct Setting {
    workers: usize,
    threads: usize,
    order: Order,
}

impl Setting {
    /// One worker, two, ten, and threads in processes, in both orders.
    fn all() -> impl Iterator<Item = Self> {
        [(1, 1), (2, 1), (10, 1), (2, 4)].into_iter().flat_map(|(workers, threads)| {
            [Order::Lifo, Order::Fifo].map(|order| Self { workers, threads, order })
        })
    }

    fn start<H: Handler>(self, program: Travelling<H>) -> Result<Report, Error> {
        let Self { workers, threads, order } = self;
        start(Runner::new(program).workers(workers).processes().threads(threads).order(order))
    }
}

/// Runs on so many worker processes.
fn run<H: Handler>(workers: usize, program: Travelling<H>) -> Result<Report, Error> {
    start(Runner::new(program).workers(workers).processes())
}

fn start<R: prunner::ParallelTaskRunner>(runner: Runner<R>) -> Result<Report, Error> {
    let _watchdog = Watchdog::after(PATIENCE, "a run on worker processes");
    runner.start()
}
