use prunner::task;

#[task]
fn add<N>(_: N) {}

fn main() {}
