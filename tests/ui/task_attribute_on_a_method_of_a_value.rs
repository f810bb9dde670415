use prunner::task;

struct Job;

#[task]
impl Job {
    #[task]
    fn add(&mut self, _: u64) {}
}

fn main() {}
