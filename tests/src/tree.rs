//! Random task trees: programs whose whole truth can be computed beforehand.

use std::sync::atomic::{AtomicU64, Ordering};

use prunner::{Context, Dict, Key, Labeled, ParallelTaskRunner, Priority, Sum, TaskResult};
use serde::{Deserialize, Serialize};

use crate::random::Random;

/// The sum of the values of all nodes that finished.
pub const SUM: Key<Sum<u64>> = Key::new("sum");

/// How many nodes finished.
pub const NODES: Key<Sum<u64>> = Key::new("nodes");

/// What a run of a tree must come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Nodes whose handler returned `Ok`.
    pub finished: u64,
    /// Nodes whose handler failed.
    pub dead: u64,
    /// The sum of the values of those that finished.
    pub sum: u64,
}

/// A task: one node, from whose seed everything below it follows.
#[derive(Debug, Labeled, Serialize, Deserialize)]
pub struct Node {
    seed: u64,
    height: u64,
}

/// How a tree grows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shape {
    /// The levels under the root.
    pub height: u64,
    /// No node has more children than this.
    pub children: u64,
    /// One node in this many fails; 0 for none.
    pub fails: u64,
}

/// A program that grows one random tree and notices when its `end` comes too early or twice. On worker
/// processes each of them counts the handlers for itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tree {
    seed: u64,
    shape: Shape,
    #[serde(skip)]
    handled: AtomicU64,
    #[serde(skip)]
    ends: AtomicU64,
    #[serde(skip)]
    handled_at_end: AtomicU64,
}

impl Tree {
    /// The tree that follows from `seed`.
    pub fn new(seed: u64, shape: Shape) -> Self {
        let none = || AtomicU64::new(0);
        Self { seed, shape, handled: none(), ends: none(), handled_at_end: none() }
    }

    /// What a run must come to, found without running anything.
    pub fn truth(&self) -> Truth {
        let mut truth = Truth::default();
        let mut open = self.roots();
        while let Some(node) = open.pop() {
            let plan = self.plan(&node);
            if plan.fails {
                truth.dead += 1;
            } else {
                truth.finished += 1;
                truth.sum = truth.sum.wrapping_add(plan.value);
                open.extend(plan.children);
            }
        }
        truth
    }

    /// How often `end` has run.
    pub fn ends(&self) -> u64 {
        self.ends.load(Ordering::SeqCst)
    }

    /// How many handlers had returned when `end` ran.
    pub fn handled_at_end(&self) -> u64 {
        self.handled_at_end.load(Ordering::SeqCst)
    }

    fn roots(&self) -> Vec<Node> {
        let roots = 1 + self.seed % 3;
        (0..roots).map(|root| Node { seed: self.seed ^ root, height: self.shape.height }).collect()
    }

    fn plan(&self, node: &Node) -> Plan {
        let mut random = Random::new(node.seed);
        let fails = self.shape.fails > 0 && random.one_in(self.shape.fails);
        let value = random.below(1000);
        let children = if node.height == 0 { 0 } else { random.below(self.shape.children + 1) };
        let child = |_| Node { seed: random.draw(), height: node.height - 1 };
        Plan { fails, value, children: (0..children).map(child).collect() }
    }
}

/// What one node does.
struct Plan {
    fails: bool,
    value: u64,
    children: Vec<Node>,
}

impl ParallelTaskRunner for Tree {
    type Task = Node;

    fn begin(&self, cx: &mut Context<'_, Node>) -> TaskResult {
        post(self.roots(), &mut Random::new(!self.seed), false, cx);
        Ok(())
    }

    fn run(&self, node: &Node, cx: &mut Context<'_, Node>) -> TaskResult {
        let mut random = Random::new(!node.seed);
        // Between the take and the work: what broke the original's end.
        random.dawdle();
        let plan = self.plan(node);
        cx.merge(NODES, Sum(1));
        cx.merge(SUM, Sum(plan.value));
        post(plan.children, &mut random, plan.fails, cx);
        self.handled.fetch_add(1, Ordering::SeqCst);
        if plan.fails { Err("this node fails".into()) } else { Ok(()) }
    }

    fn end(&self, _: &Dict) -> TaskResult {
        self.ends.fetch_add(1, Ordering::SeqCst);
        self.handled_at_end.store(self.handled.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(())
    }
}

/// Posts in one of the ways there are. A node that fails does not flush: that would stay.
fn post(children: Vec<Node>, random: &mut Random, fails: bool, cx: &mut Context<'_, Node>) {
    match random.below(4) {
        0 => children.into_iter().for_each(|child| cx.post(child)),
        1 if !fails => {
            for child in children {
                cx.post(child);
                cx.flush();
                random.dawdle();
            }
        }
        2 => {
            for child in children {
                let priority = [Priority::High, Priority::Normal, Priority::Low];
                cx.post_with(priority[random.below(3) as usize], child);
            }
        }
        _ => cx.post_all(children),
    }
}
