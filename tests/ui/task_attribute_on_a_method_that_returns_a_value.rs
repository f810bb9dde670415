use prunner::task;

struct Job;

#[task]
impl Job {
    #[task]
    fn double(&self, n: u64) -> u64 {
        2 * n
    }
}

fn main() {}
