//! A program with a data race in its handlers, to show that `ci/tsan` would report one.

use std::{
    cell::UnsafeCell,
    hint::spin_loop,
    sync::atomic::{AtomicU32, Ordering},
};

use prunner::{Context, Labeled, ParallelTaskRunner, Runner, TaskResult};

/// A number that says it may be shared and does nothing for it.
struct Racy(UnsafeCell<u64>);

// SAFETY: there is none; the race is the purpose of this program.
unsafe impl Sync for Racy {}

#[derive(Labeled)]
struct Add;

struct Race {
    number: Racy,
    /// Relaxed, so that it lets two handlers meet and orders nothing.
    arrived: AtomicU32,
}

impl ParallelTaskRunner for Race {
    type Task = Add;

    fn begin(&self, cx: &mut Context<'_, Add>) -> TaskResult {
        cx.post_all([Add, Add]);
        Ok(())
    }

    fn run(&self, _: &Add, _: &mut Context<'_, Add>) -> TaskResult {
        self.arrived.fetch_add(1, Ordering::Relaxed);
        while self.arrived.load(Ordering::Relaxed) < 2 {
            spin_loop();
        }
        // SAFETY: none, see above.
        unsafe { *self.number.0.get() += 1 };
        Ok(())
    }
}

fn main() -> Result<(), prunner::Error> {
    let race = Race { number: Racy(UnsafeCell::new(0)), arrived: AtomicU32::new(0) };
    Runner::new(race).workers(2).start()?;
    Ok(())
}
