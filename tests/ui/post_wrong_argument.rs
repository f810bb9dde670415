use prunner::post_task;

fn add_one(_: u64) {}

fn main() {
    post_task(add_one, "one");
}
