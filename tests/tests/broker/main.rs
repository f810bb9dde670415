//! The suite for brokers: the broker in memory passes it, and brokers that each break one rule do not.

mod commits;
mod crashes;
mod end;
mod leases;
mod locks;
mod names;
mod own_leases;
mod own_line;
mod random;
mod runs;
mod sizes;
mod twist;
mod watching;

use std::{collections::HashSet, sync::Arc};

use prunner::{
    Order,
    testing::conformance::{CASES, Case, check},
};

use self::twist::{LEASE, Twist, in_memory, in_memory_for, twisted};

prunner_tests::watched!();

#[test]
fn the_broker_in_memory_passes() {
    for order in [Order::Lifo, Order::Fifo] {
        check(&in_memory(order));
    }
}

#[test]
fn a_broker_whose_leases_last_a_little_longer_passes() {
    let make = in_memory_for(LEASE + LEASE / 10, Order::Lifo);
    let is_about_it = |name: &str| ["lease", "expir", "watches"].iter().any(|it| name.contains(it));
    let cases: Vec<_> = CASES.iter().filter(|case| is_about_it(case.name())).collect();
    assert!(cases.len() > 8, "the suite has other names now");
    cases.iter().for_each(|case| case.check(&make));
}

#[test]
fn the_suite_names_each_case_once() {
    let names: HashSet<_> = CASES.iter().map(Case::name).collect();
    assert_eq!(names.len(), CASES.len());
}

/// The twist that changes nothing: what the others fail for is theirs alone.
struct Straight(twist::Memory);

impl Twist for Straight {
    fn inner(&self) -> twist::Memory {
        Arc::clone(&self.0)
    }
}

#[test]
fn a_twist_that_changes_nothing_passes() {
    check(&twisted(|made| Straight(made.broker())));
}
