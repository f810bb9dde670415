use prunner::post_task;

fn paint(_: u64, _: u64, _: u8, _: u8, _: u8) {}

fn main() {
    post_task(paint, (1, 2, 3, 4, 5));
}
