use prunner::task;

struct Job;

#[task]
impl Job {
    #[task(retries = 3)]
    fn add(&self, _: u64) {}
}

fn main() {}
