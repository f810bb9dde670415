use prunner::post_task;

struct Job;

impl Job {
    fn add(&self, _: u64) {}
}

fn main() {
    post_task(Job::add, "one");
}
