//! Worker processes: one task ends its process, and all others finish.
//!
//! ```text
//! cargo run -p prunner --example workers
//! ```

use prunner::{Key, MessageLoop, Runner, Sum, dict, merge, post_task, task};

const SUM: Key<Sum<u64>> = Key::new("sum");

fn begin() {
    for n in 1..=100 {
        post_task(halve, n);
    }
}

#[task]
fn halve(n: u64) {
    if n == 13 {
        // As a C library would: no panic, no error, the process is gone.
        std::process::abort();
    }
    merge(SUM, Sum(n / 2));
}

fn end() {
    println!("sum {}", dict().get(SUM).unwrap_or_default().0);
}

fn main() -> Result<(), prunner::Error> {
    // Worker processes are this program started again: they go no further than here.
    prunner::worker_entry::<MessageLoop>();

    let run = Runner::new(MessageLoop::new(begin, end)).workers(4).processes();
    // Without this the run would be an error, because a task died.
    let report = run.tolerate_dead(true).start()?;
    println!("{}", report.ledger());
    for failure in report.failures() {
        println!("{}({}) died", failure.label(), failure.data().unwrap_or_default());
    }
    Ok(())
}
