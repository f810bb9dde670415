//! prunner against a plain loop, rayon, tokio, async-executor and two queues as people write them
//! by hand.
//!
//! ```text
//! cargo bench -p prunner --bench versus_peers -- [NAME...]
//!     [--workers 1,2] [--rounds N] [--pin] [--quick] [--list]
//! ```
//!
//! One line a result, medians over the rounds; every run's answer is asserted:
//!
//! ```text
//! NAME workers=W prunner=NS serial=NS rayon=NS tokio=NS channel=NS condvar=NS async_executor=NS
//!     rayon_ratio=R floor_ratio=R cpu_wall=C spread=S% rayon_cpu_wall=C [PEER_p99=NS] [ideal=P%]
//! ```
//!
//! - The unit is ns a task; of `one_task` and `zero_tasks`, ns a whole run; of `wake`, ns until a
//!   sleeping worker has the task, with `PEER_p99`; of `idle`, percent of one core that the workers
//!   without work use.
//! - `serial` is one thread and one `Vec`, whatever the number of workers. `rayon_ratio` is rayon /
//!   prunner, `floor_ratio` is prunner / serial.
//! - `cpu_wall` is CPU time over wall time in prunner's runs: near 2 when both cores were busy.
//!   `rayon_cpu_wall` is the same for rayon's.
//!   `spread` is (max - min) / median of prunner's rounds. `ideal` is the time that `spin` tasks
//!   must take, over the time that they took.
//! - rayon, tokio and async-executor have their threads before the clock starts; prunner and the
//!   two by hand start theirs within it. tokio, channel, condvar and async-executor run a quarter
//!   of the small tasks.

mod catalog;
mod comparison;
#[path = "../engines/mod.rs"]
mod engines;
#[path = "../harness/mod.rs"]
mod harness;
mod peers;
mod result;
#[path = "../workloads/mod.rs"]
mod workloads;

use std::collections::BTreeMap;

use catalog::{ENTRIES, Entry};
use comparison::Comparison;
use harness::flags::Flags;

fn main() {
    let flags = Flags::read();
    let names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
    flags.refuse_unknown(&names);
    if flags.list {
        println!("{}", names.join("\n"));
        return;
    }
    let mut comparisons = BTreeMap::new();
    for entry in ENTRIES.iter().filter(|entry| flags.wants(entry.name)) {
        for workers in workers_of(entry, &flags) {
            let comparison =
                comparisons.entry(workers).or_insert_with(|| Comparison::new(&flags, workers));
            println!("{}", result::line(entry, workers, &(entry.measure)(comparison)));
        }
    }
}

/// The numbers of workers to run `entry` with; none below its own least.
fn workers_of(entry: &Entry, flags: &Flags) -> Vec<usize> {
    let mut workers = flags.workers_or(entry.workers);
    workers.retain(|workers| *workers >= entry.workers[0]);
    workers
}
