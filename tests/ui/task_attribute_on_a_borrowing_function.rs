use prunner::task;

#[task]
fn count(_: &str) {}

fn main() {}
