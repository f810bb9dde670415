use prunner::task;

struct Job;

#[task]
impl Job {
    fn add(&self, _: u64) {}
}

fn main() {}
