//! prunner on worker processes, against the same programs on Python's pools.
//!
//! ```text
//! cargo bench -p prunner --bench processes -- [NAME...]
//!     [--workers 2,10] [--rounds N] [--quick] [--list]
//! ```
//!
//! One line a result, medians over the rounds; every run's answer is asserted, no goal is:
//!
//! ```text
//! NAME workers=W prunner=VALUE [million_per_s=N] [PEER=VALUE PEER_ratio=R ...] [FIGURE=VALUE ...]
//!     cpu_wall=C spread=S% unit=UNIT [goal=GOAL]
//! ```
//!
//! - A whole `Runner::start` is measured, from no process to the report. Of `sum_up*`, `flat`,
//!   `payload` and `spin100us` the unit is ns a task; of `program`, ms from exec to exit of a
//!   program of its own; of `start`, ms until the first handler runs, and until each worker has run
//!   one; of `memory`, MiB of the parent and its workers, in the middle of a run.
//! - `PEER_ratio` is peer / prunner. The peers are the scripts in `python/`, run by `python3`; there
//!   are none where that is missing. In `flat` their pool has its processes before the clock
//!   starts, and they get a fifth of the tasks.
//! - `spin100us` has the same work on one thread (`serial`), and cut in half for two bare threads.
//!   `ideal` is half of `serial` over prunner's time.
//! - `cpu_wall` is CPU time over wall time in prunner's runs, workers included. `spread` is
//!   (max - min) / median of prunner's rounds.
//!
//! `steps` prints what the parts of a task's way cost, ns a task: see `steps.rs`.

mod alone;
mod catalog;
mod comparison;
#[path = "../harness/mod.rs"]
#[expect(dead_code, reason = "pinning and percentiles are for versus_peers")]
mod harness;
mod memory;
mod programs;
mod python;
mod result;
mod steps;
mod tree;
mod word;

use std::env;

use catalog::ENTRIES;
use comparison::Comparison;
use harness::flags::Flags;

fn main() {
    programs::enter();
    if env::args().nth(1).as_deref() == Some(word::ALONE) {
        alone::run(env::args().skip(2));
        return;
    }
    let flags = Flags::read();
    let names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
    flags.refuse_unknown(&names);
    if flags.list {
        println!("{}", names.join("\n"));
        return;
    }
    let python = python::Python::find();
    if python.is_none() {
        println!("there is no python3 here: prunner runs without its peers");
    }
    for entry in ENTRIES.iter().filter(|entry| flags.wants(entry.name)) {
        for workers in flags.workers_or(entry.workers) {
            let comparison = Comparison::new(&flags, workers, python.as_ref());
            for line in (entry.measure)(&comparison) {
                println!("{line}");
            }
        }
    }
}
