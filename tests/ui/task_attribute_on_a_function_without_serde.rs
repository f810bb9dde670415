use prunner::task;

#[derive(Clone)]
struct Page;

#[task]
fn fetch(_: Page) {}

fn main() {}
