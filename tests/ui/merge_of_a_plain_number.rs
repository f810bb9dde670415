use prunner::{Key, merge};

const SUM: Key<u64> = Key::new("sum");

fn main() {
    merge(SUM, 1);
}
