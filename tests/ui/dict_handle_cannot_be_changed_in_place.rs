use prunner::{Key, dict};

const SUM: Key<u64> = Key::new("sum");

fn main() {
    *dict().get_mut(SUM).unwrap() += 1;
}
