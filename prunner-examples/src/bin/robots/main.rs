//! Finds the hosts that asked for `/robots.txt` in a directory of compressed web server logs.
//!
//! Reading a log is one task for each file; each merges a set of hosts. With `--generate` the
//! program writes such logs instead, which is a run of its own, with a task for each file, too: the
//! same flags give the same bytes, whatever the number of workers.
//!
//! ```text
//! cargo run --release --bin robots -- --generate /tmp/logs --files 20 --lines 50000 --seed 1
//! cargo run --release --bin robots -- /tmp/logs -n 2 -v
//! ```
//!
//! Logs are the files `*.log.gz` in the directory itself; a file may consist of several gzip
//! members. Their lines are those of Apache's common format, and what follows the request is not
//! looked at:
//!
//! ```text
//! 124.115.6.12 - - [10/Jul/2012:00:18:50 -0500] "GET /robots.txt HTTP/1.1" 200 71
//! ```
//!
//! A line is well-formed if it begins with host, ident and user, each followed by one space, a date
//! in brackets, a space and a request in quotes; in the request a backslash protects the next
//! character. It asks for `/robots.txt` if the second word of the request is that, by itself or with
//! a query string. Other lines are reported and skipped. A damaged file is reported and searched up
//! to the last whole line before the damage.

mod generate;
mod search;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use generate::Generate;
use prunner::MessageLoop;
use prunner_examples::RunFlags;
use search::Search;

/// Prints the hosts that asked for /robots.txt, sorted, one a line.
///
/// Reads the gzip-compressed Apache logs `*.log.gz` in DIR. Malformed lines and damaged files are
/// reported on stderr; the rest is still searched.
#[derive(Parser)]
struct Flags {
    /// The directory with the logs
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Write logs to DIR instead of searching there
    #[arg(long)]
    generate: bool,

    /// How many logs to write
    #[arg(long, value_name = "F", default_value_t = 20, requires = "generate")]
    files: u64,

    /// How many lines each log gets
    #[arg(long, value_name = "L", default_value_t = 1000, requires = "generate")]
    lines: u64,

    /// What the contents are made from: the same seed gives the same logs
    #[arg(long, value_name = "S", default_value_t = 1, requires = "generate")]
    seed: u64,

    #[command(flatten)]
    run: RunFlags,
}

fn main() -> ExitCode {
    prunner::worker_entry::<MessageLoop<Generate>>();
    prunner::worker_entry::<MessageLoop<Search>>();
    let Flags { directory, generate, files, lines, seed, run } = Flags::parse();
    let directory = directory.into();
    if generate {
        let job = Generate { directory, files, lines, seed };
        run.start(MessageLoop::new(Generate::begin, Generate::end).with_state(job))
    } else {
        let job = Search { directory };
        run.start(MessageLoop::new(Search::begin, Search::end).with_state(job))
    }
}
