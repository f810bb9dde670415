use prunner::task;

struct Job<T>(T);

#[task]
impl<T> Job<T> {
    #[task]
    fn add(&self, _: u64) {}
}

fn main() {}
