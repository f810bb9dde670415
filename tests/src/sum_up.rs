//! The original's program: what becomes of each number, whatever is done with it in the end.

use prunner::{Context, Labeled, TaskResult};
use serde::{Deserialize, Serialize};

/// A task of it.
#[derive(Clone, Copy, Debug, Labeled, Serialize, Deserialize)]
pub enum Stage {
    /// Posts all numbers below this.
    Init(u64),
    /// Posts the next number.
    AddOne(u64),
    /// Posts the number twice.
    Double(u64),
    /// The last one.
    SumUp(u64),
}

impl Stage {
    /// Runs it; `add` gets what is to be summed up.
    ///
    /// # Errors
    ///
    /// Those of `add`.
    pub fn run(
        self,
        cx: &mut Context<'_, Self>,
        add: impl FnOnce(&mut Context<'_, Self>, u64) -> TaskResult,
    ) -> TaskResult {
        match self {
            Self::Init(numbers) => cx.post_all((0..numbers).map(Self::AddOne)),
            Self::AddOne(n) => cx.post(Self::Double(n + 1)),
            Self::Double(n) => cx.post_all([Self::SumUp(n); 2]),
            Self::SumUp(n) => add(cx, n)?,
        }
        Ok(())
    }
}

/// The sum over all numbers below so many.
pub const fn sum(numbers: u64) -> u64 {
    numbers * (numbers + 1)
}

/// How many tasks that takes, `Init` included.
pub const fn tasks(numbers: u64) -> u64 {
    4 * numbers + 1
}
