use prunner::post_task;

fn add(_: u64, _: u64) {}

fn main() {
    post_task(add, 1);
}
