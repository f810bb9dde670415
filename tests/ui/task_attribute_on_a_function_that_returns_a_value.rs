use prunner::task;

#[task]
fn double(n: u64) -> u64 {
    2 * n
}

fn main() {}
