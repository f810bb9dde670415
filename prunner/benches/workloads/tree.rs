//! `tree`: a full binary tree; each task posts its two children.

use std::hint::black_box;

use prunner::Labeled;

use super::{Answer, Scope, Workload};

#[derive(Labeled)]
pub(crate) enum Node {
    /// With so many levels below it.
    Above(u64),
}

pub(crate) struct Tree {
    depth: u64,
}

impl Tree {
    /// The largest full tree of at most `nodes` nodes.
    pub(crate) fn new(nodes: u64) -> Self {
        Tree { depth: u64::from((nodes + 1).ilog2()) - 1 }
    }
}

impl Workload for Tree {
    type Task = Node;

    fn root(&self) -> Option<Node> {
        Some(Node::Above(self.depth))
    }

    #[inline]
    fn run(&self, task: &Node, scope: &mut impl Scope<Node>) {
        // Else the compiler sees through the plain loop and never stores one of the two children.
        let Node::Above(levels) = *black_box(task);
        if levels > 0 {
            scope.post(Node::Above(levels - 1));
            scope.post(Node::Above(levels - 1));
        }
    }

    fn expected(&self) -> Answer {
        Answer { tasks: (1 << (self.depth + 1)) - 1, sum: 0 }
    }
}
