//! smoke
use prunner::{dict, global_lock, post_task, task, Key, MessageLoop, Runner};
const SUM: Key<u64> = Key::new("sum");
fn begin() { dict().insert(SUM, 0); post_task(init, 0..2000u64); }
#[task] fn init(numbers: std::ops::Range<u64>) { for i in numbers { post_task(add_one, i); } }
#[task] fn add_one(n: u64) { post_task(double, n + 1); }
#[task] fn double(n: u64)  { post_task(sum_up, n); post_task(sum_up, n); }
#[task] fn sum_up(n: u64)  { *global_lock().get_mut(SUM).unwrap() += n; }
fn end() { println!("{}", dict().get(SUM).unwrap()); }

fn main() -> Result<(), prunner::Error> {
    let report = Runner::new(MessageLoop::new(begin, end)).workers(10).start()?;
    println!("{report}");
    Ok(())
}
