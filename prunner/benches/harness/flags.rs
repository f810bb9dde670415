//! The command line: `[NAME...] [--workers 1,2] [--rounds N] [--pin] [--quick] [--list]`.

use std::env;
use std::process;
use std::time::Duration;

/// What was asked for on the command line.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// The workloads to run; empty means all.
    pub(crate) names: Vec<String>,
    /// Worker counts in place of each workload's own.
    pub(crate) workers: Option<Vec<usize>>,
    rounds: Option<usize>,
    /// Keep each worker on its own CPU.
    pub(crate) pin: bool,
    /// A tenth of the tasks.
    pub(crate) quick: bool,
    /// Print the names of the workloads and stop.
    pub(crate) list: bool,
}

const USAGE: &str = "[NAME...] [--workers 1,2] [--rounds N] [--pin] [--quick] [--list]";

impl Flags {
    /// Reads the command line; a wrong one ends the program with the usage.
    pub(crate) fn read() -> Flags {
        if cfg!(debug_assertions) {
            println!("a debug build measures nothing: run this with `cargo bench`");
            process::exit(0);
        }
        Flags::parse(env::args().skip(1)).unwrap_or_else(|wrong| {
            eprintln!("{wrong}\nusage: {USAGE}");
            process::exit(2);
        })
    }

    fn parse(mut args: impl Iterator<Item = String>) -> Result<Flags, String> {
        let mut flags = Flags::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => {} // cargo adds it
                "--workers" => flags.workers = Some(counts(args.next())?),
                "--rounds" => flags.rounds = Some(count(&args.next().unwrap_or_default())?),
                "--pin" => flags.pin = true,
                "--quick" => flags.quick = true,
                "--list" => flags.list = true,
                name if !name.starts_with('-') => flags.names.push(arg),
                _ => return Err(format!("unknown flag {arg}")),
            }
        }
        Ok(flags)
    }

    /// Rounds that are counted; one more is run first and thrown away.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 5 } else { 7 })
    }

    /// Whether the workload `name` is to be run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }

    /// The worker counts to run a workload with whose own are `usual`.
    pub(crate) fn workers_or(&self, usual: &[usize]) -> Vec<usize> {
        self.workers.clone().unwrap_or_else(|| usual.to_vec())
    }

    /// `size`, or a tenth of it in a quick run.
    pub(crate) fn size(&self, size: u64) -> u64 {
        if self.quick { size.div_ceil(10) } else { size }
    }

    /// `length`, or a tenth of it in a quick run.
    pub(crate) fn length(&self, length: Duration) -> Duration {
        if self.quick { length / 10 } else { length }
    }

    /// Ends the program when a name was asked for that is not in `known`.
    pub(crate) fn refuse_unknown(&self, known: &[&str]) {
        if let Some(name) = self.names.iter().find(|name| !known.contains(&name.as_str())) {
            eprintln!("no workload {name}: there are {}", known.join(" "));
            process::exit(2);
        }
    }
}

fn counts(list: Option<String>) -> Result<Vec<usize>, String> {
    list.unwrap_or_default().split(',').map(count).collect()
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!("{text:?} is not a count of at least 1")),
    }
}
