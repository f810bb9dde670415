use prunner::post_task;

fn double(n: u64) -> u64 {
    2 * n
}

fn main() {
    post_task(double, 1);
}
