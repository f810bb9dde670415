use prunner::task;

#[task]
async fn fetch(_: String) {}

fn main() {}
