//! Programs of their own: this executable with the word `alone`, so that a whole process can be
//! measured from exec to exit, its memory from outside, and its instructions by valgrind:
//!
//! ```text
//! PROGRAM alone sum_up NUMBERS WORKERS
//! PROGRAM alone calls NUMBERS WORKERS
//! PROGRAM alone flat TASKS WORKERS
//! PROGRAM alone payload TASKS WORKERS
//! PROGRAM alone busy TASKS WORKERS
//! ```

use crate::programs::{busy, by_calls, flat, payload, sum_up};

pub(crate) fn run(mut args: impl Iterator<Item = String>) {
    let name = args.next().unwrap_or_default();
    let mut number = || args.next().and_then(|it| it.parse().ok()).expect("a number");
    let (size, workers) = (number(), number() as usize);
    match name.as_str() {
        "sum_up" => println!("{}", sum_up::run(size, workers)),
        "calls" => println!("{}", by_calls::run(size, workers)),
        "flat" => flat::run(size, workers),
        "payload" => println!("{}", payload::run(size, workers)),
        "busy" => println!("{}", busy::run(size, workers)),
        "echo" => crate::steps::echo(),
        _ => panic!("there is no program {name}"),
    }
}
