use prunner::post_task;

fn count(_: &'static str) {}

fn main() {
    post_task(count, "words");
}
