use prunner::{Key, global_lock};

const SUM: Key<u64> = Key::new("sum");

fn main() {
    global_lock().insert(SUM, "one");
}
