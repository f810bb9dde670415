//! `sum_up`: the program of prunner.py. A number is posted, raised by one, posted twice and added
//! up; four tasks a number.

use std::marker::PhantomData;

use prunner::Labeled;

use super::{Answer, Scope, Workload};

/// Where the sum is kept.
pub(crate) trait Place: Send + Sync + 'static {
    fn add<T>(scope: &mut impl Scope<T>, n: u64);
}

/// On each worker, joined at the end.
pub(crate) struct Merged;

/// In one place, under a lock.
pub(crate) struct Locked;

/// In a hash map with string keys, under a lock.
pub(crate) struct Mapped;

impl Place for Merged {
    #[inline]
    fn add<T>(scope: &mut impl Scope<T>, n: u64) {
        scope.add(n);
    }
}

impl Place for Locked {
    #[inline]
    fn add<T>(scope: &mut impl Scope<T>, n: u64) {
        scope.add_locked(n);
    }
}

impl Place for Mapped {
    #[inline]
    fn add<T>(scope: &mut impl Scope<T>, n: u64) {
        scope.add_mapped(n);
    }
}

#[derive(Labeled)]
pub(crate) enum Step {
    Init(u64),
    AddOne(u64),
    Double(u64),
    SumUp(u64),
}

/// The program for the numbers below `numbers`.
pub(crate) struct SumUp<P> {
    numbers: u64,
    place: PhantomData<P>,
}

impl<P> SumUp<P> {
    pub(crate) fn new(numbers: u64) -> Self {
        SumUp { numbers, place: PhantomData }
    }
}

impl<P: Place> Workload for SumUp<P> {
    type Task = Step;

    fn root(&self) -> Option<Step> {
        Some(Step::Init(self.numbers))
    }

    #[inline]
    fn run(&self, task: &Step, scope: &mut impl Scope<Step>) {
        match *task {
            Step::Init(n) => scope.post_all((0..n).map(Step::AddOne)),
            Step::AddOne(n) => scope.post(Step::Double(n + 1)),
            Step::Double(n) => {
                scope.post(Step::SumUp(n));
                scope.post(Step::SumUp(n));
            }
            Step::SumUp(n) => P::add(scope, n),
        }
    }

    fn expected(&self) -> Answer {
        Answer { tasks: 4 * self.numbers + 1, sum: self.numbers * (self.numbers + 1) }
    }
}
