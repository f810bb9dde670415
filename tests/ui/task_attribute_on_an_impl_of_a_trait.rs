use prunner::task;

trait Add {
    fn add(&self, n: u64);
}

struct Job;

#[task]
impl Add for Job {
    #[task]
    fn add(&self, _: u64) {}
}

fn main() {}
