use prunner::{MessageLoop, Runner};

fn begin(_: u64) {}

fn main() {
    Runner::new(MessageLoop::new(begin, || ())).start().unwrap();
}
