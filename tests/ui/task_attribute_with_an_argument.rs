use prunner::task;

#[task(retries = 3)]
fn fetch(_: String) {}

fn main() {}
