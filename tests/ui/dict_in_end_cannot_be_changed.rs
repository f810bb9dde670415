use prunner::{Dict, Key, TaskResult};

const SUM: Key<u64> = Key::new("sum");

fn end(dict: &Dict) -> TaskResult {
    *dict.get_mut(SUM).unwrap() += 1;
    Ok(())
}

fn main() {
    end(&Dict::new()).unwrap();
}
