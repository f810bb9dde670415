//! Runners made of closures, so that a test shows what it does where it does it.

use std::marker::PhantomData;

use prunner::{Context, Dict, Labeled, ParallelTaskRunner, TaskResult};

/// A runner with these hooks and an `end` that does nothing.
pub fn program<T: Labeled + Send>(
    begin: impl Fn(&mut Context<'_, T>) -> TaskResult + Sync,
    run: impl Fn(&T, &mut Context<'_, T>) -> TaskResult + Sync,
) -> impl ParallelTaskRunner<Task = T> {
    program_with_end(begin, run, |_| Ok(()))
}

/// A runner with these hooks.
pub fn program_with_end<T: Labeled + Send>(
    begin: impl Fn(&mut Context<'_, T>) -> TaskResult + Sync,
    run: impl Fn(&T, &mut Context<'_, T>) -> TaskResult + Sync,
    end: impl Fn(&Dict) -> TaskResult + Sync,
) -> impl ParallelTaskRunner<Task = T> {
    Program { begin, run, end, task: PhantomData }
}

struct Program<T, B, R, E> {
    begin: B,
    run: R,
    end: E,
    task: PhantomData<fn(T)>,
}

impl<T, B, R, E> ParallelTaskRunner for Program<T, B, R, E>
where
    T: Labeled + Send,
    B: Fn(&mut Context<'_, T>) -> TaskResult + Sync,
    R: Fn(&T, &mut Context<'_, T>) -> TaskResult + Sync,
    E: Fn(&Dict) -> TaskResult + Sync,
{
    type Task = T;

    fn begin(&self, cx: &mut Context<'_, T>) -> TaskResult {
        (self.begin)(cx)
    }

    fn run(&self, task: &T, cx: &mut Context<'_, T>) -> TaskResult {
        (self.run)(task, cx)
    }

    fn end(&self, dict: &Dict) -> TaskResult {
        (self.end)(dict)
    }
}
