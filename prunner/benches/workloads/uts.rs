//! `uts`: unbalanced tree search, binomial. The root has many children; every other node has eight
//! with a probability of just under one in eight, decided by a hash of its parent, so that subtrees
//! differ wildly and nobody can tell before.

use std::hint::black_box;

use prunner::Labeled;

use super::{Answer, Scope, Workload};

const CHILDREN: u64 = 8;

/// A node has children when its hash is below this: q = 0.12478, so that q * 8 is just below 1.
const FERTILE: u64 = (u64::MAX / 100_000) * 12_478;

#[derive(Labeled)]
pub(crate) enum Node {
    Root(u64),
    Inner(u64),
}

pub(crate) struct Uts {
    branches: u64,
    nodes: u64,
}

impl Uts {
    /// The tree whose root has `branches` children; about 600 times as many nodes.
    pub(crate) fn new(branches: u64) -> Self {
        Uts { branches, nodes: count(branches) }
    }

    fn children(&self, node: &Node) -> (u64, u64) {
        match *node {
            Node::Root(seed) => (mix(seed), self.branches),
            Node::Inner(seed) => inner(seed),
        }
    }
}

/// The hash of an inner node and how many children it has.
fn inner(seed: u64) -> (u64, u64) {
    let hash = mix(seed);
    (hash, if hash < FERTILE { CHILDREN } else { 0 })
}

/// Counts the nodes without any engine, for the answer.
fn count(branches: u64) -> u64 {
    let root = mix(SEED);
    let mut stack: Vec<u64> = (0..branches).map(|i| child(root, i)).collect();
    let mut nodes = 1;
    while let Some(seed) = stack.pop() {
        nodes += 1;
        let (hash, children) = inner(seed);
        stack.extend((0..children).map(|i| child(hash, i)));
    }
    nodes
}

const SEED: u64 = 42;

fn child(hash: u64, index: u64) -> u64 {
    mix(hash.wrapping_add(index))
}

/// splitmix64.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Workload for Uts {
    type Task = Node;

    fn root(&self) -> Option<Node> {
        Some(Node::Root(SEED))
    }

    #[inline]
    fn run(&self, task: &Node, scope: &mut impl Scope<Node>) {
        let (hash, children) = self.children(task);
        black_box(hash);
        for index in 0..children {
            scope.post(Node::Inner(child(hash, index)));
        }
    }

    fn expected(&self) -> Answer {
        Answer { tasks: self.nodes, sum: 0 }
    }
}
