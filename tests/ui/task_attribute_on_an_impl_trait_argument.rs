use prunner::task;

#[task]
fn add(_: impl Into<u64>) {}

fn main() {}
