//! The smallest program: tasks that post tasks, and a sum that is merged.
//!
//! ```text
//! cargo run -p prunner --example merge
//! ```

use prunner::{Key, MessageLoop, Runner, Sum, dict, merge, post_task};

const SUM: Key<Sum<u64>> = Key::new("sum");

fn begin() {
    for n in 1..=1000 {
        post_task(square, n);
    }
}

fn square(n: u64) {
    post_task(add, n * n);
}

fn add(n: u64) {
    merge(SUM, Sum(n));
}

fn end() {
    println!("{}", dict().get(SUM).unwrap_or_default().0);
}

fn main() -> Result<(), prunner::Error> {
    Runner::new(MessageLoop::new(begin, end)).start()?;
    Ok(())
}
