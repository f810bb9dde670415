//! What it costs to post a call instead of a variant of an enum: the same program, four times.
//!
//! ```text
//! cargo bench -p prunner --bench call_cost -- [--workers 1,2] [--rounds N] [--pin] [--quick]
//! ```
//!
//! One line a result, ns a task, medians over the rounds:
//!
//! ```text
//! call_cost workers=W enum=NS function=NS method=NS closure=NS function_minus_enum=NS spread=S%
//! ```
//!
//! The program is `sum_up` without its sum: a number is posted, raised by one, posted twice and
//! looked at, so that only posting and calling are measured, and no dict.

mod by_closure;
mod by_enum;
mod by_function;
mod by_method;
#[path = "../harness/mod.rs"]
#[expect(dead_code, reason = "percentiles and lengths are for versus_peers")]
mod harness;

use harness::flags::Flags;
use harness::line::Line;
use harness::pin;
use harness::rounds::{Sample, Summary, Variant, interleave};

fn main() {
    let flags = Flags::read();
    flags.refuse_unknown(&["call_cost"]);
    if flags.list {
        println!("call_cost");
        return;
    }
    for workers in flags.workers_or(&[1, 2]) {
        println!("{}", line(workers, &compare(&flags, workers)));
    }
}

/// One of the programs: runs `numbers` numbers with so many workers and tells how many tasks ran.
type Program = fn(numbers: u64, workers: usize) -> u64;

fn compare(flags: &Flags, workers: usize) -> Vec<Summary> {
    if flags.pin {
        pin::main_thread(workers);
    }
    let numbers = flags.size(1_000_000);
    let variant = |(name, program): (&'static str, Program)| {
        Variant::new(name, move || {
            Sample::time(4 * numbers, || run(name, program, numbers, workers))
        })
    };
    let programs: [(&str, Program); 4] = [
        ("enum", by_enum::run),
        ("function", by_function::run),
        ("method", by_method::run),
        ("closure", by_closure::run),
    ];
    interleave(programs.into_iter().map(variant).collect(), flags.rounds())
}

fn run(name: &str, program: Program, numbers: u64, workers: usize) {
    assert_eq!(program(numbers, workers), 4 * numbers + 1, "{name} ran a wrong number of tasks");
}

fn line(workers: usize, summaries: &[Summary]) -> Line {
    let line = Line::new("call_cost", workers);
    let line =
        summaries.iter().fold(line, |line, summary| line.number(summary.name, summary.median));
    line.number("function_minus_enum", summaries[1].median - summaries[0].median)
        .percent("spread", summaries[0].spread)
}
