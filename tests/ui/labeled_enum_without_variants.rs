use prunner::Labeled;

#[derive(Labeled)]
enum Nothing {}

fn main() {}
