//! What the calling process needs while its workers do the work. Alone in its program: nothing else may
//! have used memory there.

use std::fs;

use prunner::{Key, Runner, Sum};
use prunner_tests::{
    handler,
    scale::times,
    sum_up::{Stage, sum, tasks},
    travelling::Travelling,
};

prunner_tests::watched!();

prunner::worker_test!(Travelling<SumUp>);

const SUM: Key<Sum<u64>> = Key::new("sum");

handler!(SumUp: Stage, |stage, cx| {
    stage.run(cx, |cx, n| {
        cx.merge(SUM, Sum(n));
        Ok(())
    })
});

/// The most memory that this process has ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("there is a /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it tells");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

#[test]
fn the_parent_of_many_tasks_stays_small() {
    let numbers = times("PRUNNER_NUMBERS", 100_000);
    for workers in [2, 10] {
        let program = Travelling::of(SumUp, [Stage::Init(numbers)]);
        let report =
            Runner::new(program).workers(workers).processes().start().expect("all is well");
        assert_eq!(report.dict().get(SUM), Some(Sum(sum(numbers))));
        assert_eq!(report.ledger().finished, tasks(numbers));
        println!("{workers} workers, {numbers} numbers: {} KiB so far", peak());
    }
    assert!(peak() < 128 << 10, "{} KiB", peak());
}
