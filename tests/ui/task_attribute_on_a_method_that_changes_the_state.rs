use prunner::task;

struct Job(u64);

#[task]
impl Job {
    #[task]
    fn add(&mut self, n: u64) {
        self.0 += n;
    }

    #[task]
    fn end(self) {}
}

fn main() {}
