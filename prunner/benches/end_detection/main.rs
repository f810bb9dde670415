//! What a shared counter of pending tasks would cost: the same engine, with prunner's flags alone,
//! and with such a counter added to the path of every task.
//!
//! ```text
//! cargo bench -p prunner --bench end_detection -- [NAME...]
//!     [--workers 1,2,10] [--rounds N] [--pin] [--quick] [--list]
//! ```
//!
//! One line a result, ns a task, medians over the rounds:
//!
//! ```text
//! WORKLOAD workers=W flags=NS counter=NS ratio=R batched=NS batched_ratio=R spread=S%
//! ```
//!
//! `counter` goes one up with every post and one down with every finished task, as in engines with
//! a counter. `batched` is the cheapest that a counter can be: one addition a task, of its posts
//! less one, and none where that is zero. The engine still finds its end by its flags; what a
//! counter would save there, a scan of the epochs once a run, is nothing beside this. `spread` is
//! that of the rounds of `flags`.

mod counted;
#[path = "../engines/mod.rs"]
#[expect(dead_code, reason = "the peers are for versus_peers")]
mod engines;
#[path = "../harness/mod.rs"]
#[expect(dead_code, reason = "percentiles and lengths are for versus_peers")]
mod harness;
#[path = "../workloads/mod.rs"]
#[expect(dead_code, reason = "two workloads are enough here")]
mod workloads;

use counted::{Counted, Counter};
use engines::prunner::Prunner;
use engines::{Engine, forever};
use harness::flags::Flags;
use harness::line::Line;
use harness::pin;
use harness::rounds::{Sample, Summary, Variant, interleave};
use workloads::Workload;
use workloads::sum_up::{Merged, SumUp};
use workloads::tree::Tree;

const NAMES: [&str; 2] = ["sum_merge", "tree"];

/// Runs that make a sample: a single one is over in some milliseconds.
const RUNS: u64 = 4;

fn main() {
    let flags = Flags::read();
    flags.refuse_unknown(&NAMES);
    if flags.list {
        println!("{}", NAMES.join("\n"));
        return;
    }
    for name in NAMES.into_iter().filter(|name| flags.wants(name)) {
        for workers in flags.workers_or(&[1, 2, 10]) {
            let summaries = match name {
                "tree" => compare(&flags, workers, || Tree::new(flags.size(1 << 21))),
                _ => compare(&flags, workers, || SumUp::<Merged>::new(flags.size(500_000))),
            };
            println!("{}", line(name, workers, &summaries));
        }
    }
}

/// The workload as it is, with a counter, and with the cheapest counter.
fn compare<W: Workload>(flags: &Flags, workers: usize, make: impl Fn() -> W) -> [Summary; 3] {
    let engine = forever(Prunner { workers, pinned: flags.pin });
    if flags.pin {
        pin::main_thread(workers);
    }
    let counted = |counter| forever(Counted::new(make(), counter));
    let (per_post, per_task) = (counted(Counter::PerPost), counted(Counter::PerTask));
    let variants = vec![
        variant("flags", engine, forever(make())),
        variant("counter", engine, per_post),
        variant("batched", engine, per_task),
    ];
    let summaries = interleave(variants, flags.rounds());
    assert_eq!(
        (per_post.pending(), per_task.pending()),
        (0, 0),
        "a counter did not come back to zero"
    );
    summaries.try_into().unwrap_or_else(|_| unreachable!("one summary a variant"))
}

fn variant<W: Workload>(
    name: &'static str,
    engine: &'static Prunner,
    work: &'static W,
) -> Variant<'static> {
    let run = engine.prepare(work);
    let once = move || assert_eq!(run(), work.expected(), "{name} gave a wrong answer");
    Variant::new(name, move || {
        Sample::time(RUNS * work.expected().tasks, || (0..RUNS).for_each(|_| once()))
    })
}

fn line(name: &str, workers: usize, [flags, counter, batched]: &[Summary; 3]) -> Line {
    Line::new(name, workers)
        .number("flags", flags.median)
        .number("counter", counter.median)
        .ratio("ratio", Some(counter.median), Some(flags.median))
        .number("batched", batched.median)
        .ratio("batched_ratio", Some(batched.median), Some(flags.median))
        .percent("spread", flags.spread)
}
