use prunner::task;

#[task]
struct Fetch(String);

fn main() {}
