//! Programs that judge their own run: how they are started, and the line in which they say whether all
//! has come as promised.

use std::process::ExitCode;

use prunner::{Error, Report, Runner};
use serde::{Serialize, de::DeserializeOwned};

/// The line of a program whose run has gone as promised.
pub const AS_PROMISED: &str = "verdict: as promised";

/// What such a program is called with: the scene, workers, threads of each, the engine, and what else
/// the scene wants.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is played.
    pub scene: String,
    /// How many workers.
    pub workers: usize,
    /// How many threads each worker process has.
    pub threads: usize,
    /// On what.
    pub engine: Engine,
    /// Where handlers meet the test, or whatever the scene takes it for.
    pub rest: Vec<String>,
}

/// What a run works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Threads, and the queues that rely on `membarrier(2)`.
    Biased,
    /// Threads, and the other queues.
    Deque,
    /// Worker processes.
    Processes,
}

impl Engine {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Biased => "biased",
            Self::Deque => "deque",
            Self::Processes => "processes",
        }
    }
}

impl Call {
    /// From the command line.
    ///
    /// # Panics
    ///
    /// When something is missing there.
    pub fn of_this_program() -> Self {
        let mut arguments = std::env::args().skip(1);
        let mut next = || arguments.next().expect("SCENE WORKERS THREADS ENGINE ...");
        let number = |text: String| text.parse().expect("a number");
        let (scene, workers, threads) = (next(), number(next()), number(next()));
        let engine = next();
        let engines = [Engine::Biased, Engine::Deque, Engine::Processes];
        let engine = engines.into_iter().find(|it| it.name() == engine).expect("an engine");
        Self { scene, workers, threads, engine, rest: arguments.collect() }
    }

    /// A run of `program` as it was called for.
    pub fn runner<R>(&self, program: R) -> Runner<R>
    where
        R: prunner::ParallelTaskRunner + Serialize + DeserializeOwned + 'static,
        R::Task: Serialize + DeserializeOwned + 'static,
    {
        let runner = Runner::new(program).workers(self.workers);
        match self.engine {
            Engine::Biased => runner,
            Engine::Deque => runner.membarrier(false),
            Engine::Processes => runner.processes().threads(self.threads),
        }
    }
}

/// Says what has come of a run, in one line.
pub fn tell(judged: Result<(), String>) -> ExitCode {
    match judged {
        Ok(()) => {
            println!("{AS_PROMISED}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("verdict: WRONG: {}", why.replace('\n', "; "));
            ExitCode::FAILURE
        }
    }
}

/// The report of a run that has ended well, or with nothing worse than dead tasks.
///
/// # Errors
///
/// The text of any other error.
pub fn report(result: &Result<Report, Error>) -> Result<&Report, String> {
    match result {
        Ok(report) => Ok(report),
        Err(error) if error.is_dead() => Ok(error.report().expect("it comes with one")),
        Err(error) => Err(format!("an error: {error}; {:?}", error.report().map(Report::ledger))),
    }
}

/// Checks how many tasks have finished and how many are dead; none may be left.
///
/// # Errors
///
/// What it is instead.
pub fn check_ledger(report: &Report, finished: u64, dead: u64) -> Result<(), String> {
    let ledger = report.ledger();
    let is = (ledger.posted, ledger.finished, ledger.dead, ledger.left);
    let told = || report.failures().iter().take(5).map(ToString::to_string).collect::<Vec<_>>();
    match is == (finished + dead, finished, dead, 0) {
        true => Ok(()),
        false => Err(format!("{ledger}, not {finished} finished and {dead} dead: {:?}", told())),
    }
}

/// Checks something else.
///
/// # Errors
///
/// `what`, and what it is instead.
pub fn check<T: PartialEq + std::fmt::Debug>(what: &str, is: T, must: T) -> Result<(), String> {
    if is == must { Ok(()) } else { Err(format!("{what}: {is:?}, not {must:?}")) }
}
