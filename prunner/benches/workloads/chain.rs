//! `chain`: each task posts the next; there is never more than one, so a second worker can only
//! disturb.

use std::hint::black_box;

use prunner::Labeled;

use super::{Answer, Scope, Workload};

#[derive(Labeled)]
pub(crate) enum Link {
    /// With so many to come.
    Before(u64),
}

pub(crate) struct Chain {
    links: u64,
}

impl Chain {
    pub(crate) fn new(links: u64) -> Self {
        Chain { links }
    }
}

impl Workload for Chain {
    type Task = Link;

    fn root(&self) -> Option<Link> {
        Some(Link::Before(self.links))
    }

    #[inline]
    fn run(&self, task: &Link, scope: &mut impl Scope<Link>) {
        // Else the compiler sees through the plain loop and counts down in a register.
        let Link::Before(links) = *black_box(task);
        if links > 0 {
            scope.post(Link::Before(links - 1));
        }
    }

    fn expected(&self) -> Answer {
        Answer { tasks: self.links + 1, sum: 0 }
    }
}
