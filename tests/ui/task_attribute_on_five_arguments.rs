use prunner::task;

#[task]
fn paint(_: u64, _: u64, _: u8, _: u8, _: u8) {}

struct Job;

#[task]
impl Job {
    #[task]
    fn paint(&self, _: u64, _: u64, _: u8, _: u8, _: u8) {}
}

fn main() {}
