//! Ends in the way that its argument says; see `tests/exit_code.rs`.

use prunner::{Error, Labeled, Runner, Task, TaskResult};
use prunner_tests::program::program_with_end;

fn main() -> Result<(), Error> {
    let way = std::env::args().nth(1).expect("an argument");
    let fails_if = |here: &str| -> TaskResult {
        match way == here {
            true => Err(format!("{here} fails").into()),
            false => Ok(()),
        }
    };
    let tasks = program_with_end(
        |cx| {
            cx.post_all((1..=3).map(|n| Task::new("task", n)));
            fails_if("begin")
        },
        |task: &Task<u64>, _| match (way.as_str(), task.data) {
            ("panic", 2) => panic!("{} panics", task.label()),
            (_, 2) => fails_if("run"),
            _ => Ok(()),
        },
        |_| {
            println!("end");
            fails_if("end")
        },
    );
    let workers = if way == "config" { 0 } else { 2 };
    let report = Runner::new(tasks).workers(workers).tolerate_dead(false).start()?;
    println!("{}", report.ledger());
    Ok(())
}
