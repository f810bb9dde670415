//! The flags of every example, and what they do.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use clap::{ArgAction, Args};
use env_logger::{Env, TimestampPrecision};
use prunner::{ParallelTaskRunner, Report, Runner};
use serde::{Serialize, de::DeserializeOwned};

/// How to run: the flags that all examples have.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use clap::Parser;
/// use prunner::{MessageLoop, post_task, task};
/// use prunner_examples::RunFlags;
///
/// #[derive(Parser)]
/// struct Flags {
///     #[command(flatten)]
///     run: RunFlags,
/// }
///
/// #[task]
/// fn greet(name: String) {
///     println!("Hello, {name}.");
/// }
///
/// fn main() -> ExitCode {
///     prunner::worker_entry::<MessageLoop>();
///     let begin = || post_task(greet, "world".to_string());
///     Flags::parse().run.start(MessageLoop::new(begin, || ()))
/// }
/// ```
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "How to run")]
pub struct RunFlags {
    /// How many workers run tasks at the same time [default: the number of CPUs]
    #[arg(short = 'n', long, value_name = "N")]
    workers: Option<usize>,

    /// Run the workers as processes of their own, which may crash without harm
    #[arg(long)]
    processes: bool,

    /// With --processes: how many threads of each process run tasks
    #[arg(long, value_name = "N", requires = "processes")]
    threads: Option<usize>,

    /// With --processes: how much memory each process may use for its data, in MiB
    #[arg(long, value_name = "MIB", requires = "processes")]
    max_memory: Option<u64>,

    /// With --processes: put the number of its process before each line that a worker prints
    #[arg(long, requires = "processes")]
    prefix_output: bool,

    /// Say more on stderr: progress and the report (-v), details (-vv), everything (-vvv)
    ///
    /// The environment variable RUST_LOG, if it is set, chooses what is logged instead.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

impl RunFlags {
    /// Runs `program` as the flags say, and turns its end into an exit code: 0, or 1 after an error,
    /// or 130 after Ctrl-C. Errors go to stderr, with `-v` the report, too.
    pub fn start<R>(&self, program: R) -> ExitCode
    where
        R: ParallelTaskRunner + Serialize + DeserializeOwned + 'static,
        R::Task: Serialize + DeserializeOwned + 'static,
    {
        self.log_to_stderr();
        match self.set_up(program).start() {
            Ok(report) => {
                self.show(&report);
                ExitCode::SUCCESS
            }
            Err(error) => {
                if let Some(report) = error.report() {
                    self.show(report);
                }
                say(format_args!("error: {error}"));
                ExitCode::from(error.exit_code())
            }
        }
    }

    /// The run of `program` that the flags ask for.
    fn set_up<R>(&self, program: R) -> Runner<R>
    where
        R: ParallelTaskRunner + Serialize + DeserializeOwned + 'static,
        R::Task: Serialize + DeserializeOwned + 'static,
    {
        let mut runner = Runner::new(program).ctrlc(true);
        if let Some(workers) = self.workers {
            runner = runner.workers(workers);
        }
        if self.processes {
            runner = runner.processes().prefix_output(self.prefix_output);
        }
        if let Some(threads) = self.threads {
            runner = runner.threads(threads);
        }
        if let Some(mebibytes) = self.max_memory {
            runner = runner.max_memory(mebibytes << 20);
        }
        runner
    }

    fn log_to_stderr(&self) {
        let level = match self.verbose {
            0 => "warn",
            1 => "info",
            2 => "debug",
            _ => "trace",
        };
        let timestamps = (self.verbose > 1).then_some(TimestampPrecision::Micros);
        env_logger::Builder::from_env(Env::default().default_filter_or(level))
            .format_timestamp(timestamps)
            .init();
    }

    fn show(&self, report: &Report) {
        if self.verbose > 0 {
            say(report);
        }
    }
}

/// Writes a line to stderr. Unlike `eprintln!` it does not panic when nobody reads stderr any more.
fn say(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
