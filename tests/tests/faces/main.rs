//! What a program and its user see of a run, on threads and on worker processes: errors, reports and
//! the log.

mod log_lines;
mod logged;
mod misuse;
mod serialized;
mod sources;
mod texts;

use prunner::{Error, MessageLoop, ParallelTaskRunner, Report, Runner};
use prunner_tests::{gate::PATIENCE, watchdog::Watchdog};
use serde::{Serialize, de::DeserializeOwned};

prunner_tests::watched!();

prunner::worker_test!(MessageLoop, misuse::Contexts, texts::LongLabels);

/// What handlers run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Threads(usize),
    /// Worker processes, and threads of each.
    Processes(usize, usize),
}

impl Engine {
    fn all() -> [Self; 5] {
        use Engine::{Processes, Threads};
        [Threads(1), Threads(3), Processes(1, 1), Processes(3, 1), Processes(1, 4)]
    }

    fn start<R>(self, program: R) -> Result<Report, Error>
    where
        R: ParallelTaskRunner + Serialize + DeserializeOwned + 'static,
        R::Task: Serialize + DeserializeOwned + 'static,
    {
        let _watchdog = Watchdog::after(PATIENCE, "a run");
        let runner = Runner::new(program);
        match self {
            Self::Threads(workers) => runner.workers(workers).start(),
            Self::Processes(workers, threads) => {
                runner.workers(workers).processes().threads(threads).start()
            }
        }
    }

    /// Runs a message loop of which at least one task dies.
    fn fails(self, begin: impl Fn() + Send + Sync + 'static) -> Error {
        let error = self.start(MessageLoop::new(begin, || ())).expect_err("tasks die");
        assert!(error.is_dead(), "{self:?}: {error}");
        error
    }
}

fn report(error: &Error) -> &Report {
    error.report().expect("there was a run")
}
