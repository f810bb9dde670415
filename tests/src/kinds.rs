//! Merges of every kind, into a run or into one dict on one thread, whose result is the truth.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use prunner::{
    Append, Context, Counter, Dict, Key, Labeled, Max, Merge, Min, Sum, signature::Value,
};
use serde::{Deserialize, Serialize};

use crate::random::Random;

/// A merge of the program's own: the longest text, the first in the alphabet of equally long ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Longest(String);

impl Merge for Longest {
    fn merge(&mut self, other: Self) {
        if (other.0.len(), &self.0) > (self.0.len(), &other.0) {
            *self = other;
        }
    }
}

const SUM: Key<Sum<u64>> = Key::new("sum");
const SIGNED: Key<Sum<i64>> = Key::new("signed sum");
const MIN: Key<Min<u64>> = Key::new("min");
const MAX: Key<Max<u64>> = Key::new("max");
const APPEND: Key<Append<u64>> = Key::new("append");
const HASH_SET: Key<HashSet<u64>> = Key::new("hash set");
const BTREE_SET: Key<BTreeSet<u64>> = Key::new("btree set");
const HASH_MAP: Key<HashMap<u64, Sum<u64>>> = Key::new("hash map");
const BTREE_MAP: Key<BTreeMap<u64, HashMap<u64, Max<u64>>>> = Key::new("map of maps");
const COUNTER: Key<Counter<String>> = Key::new("counter");
const LONGEST: Key<Longest> = Key::new("longest");

/// Where merges go.
pub trait Target {
    /// Merges `value` into an entry.
    fn merge<V: Value + Merge>(&mut self, key: Key<V>, value: V);
}

impl<T: Labeled> Target for Context<'_, T> {
    fn merge<V: Value + Merge>(&mut self, key: Key<V>, value: V) {
        Context::merge(self, key, value);
    }
}

impl Target for Dict {
    fn merge<V: Value + Merge>(&mut self, key: Key<V>, value: V) {
        match self.get_mut(key) {
            Some(there) => there.merge(value),
            None => _ = self.insert(key, value),
        }
    }
}

/// Merges something of every kind.
pub fn merge_all_kinds(n: u64, target: &mut impl Target) {
    let mut random = Random::new(n);
    let mut draw = || random.below(100);
    target.merge(SUM, Sum(n));
    target.merge(SIGNED, Sum(50 - draw() as i64));
    target.merge(MIN, Min(1_000_000 - n));
    target.merge(MAX, Max(n));
    target.merge(APPEND, Append::one(n));
    target.merge(HASH_SET, HashSet::from([draw(), draw()]));
    target.merge(BTREE_SET, BTreeSet::from([draw(), draw()]));
    target.merge(HASH_MAP, HashMap::from([(draw(), Sum(1)), (draw(), Sum(2))]));
    target.merge(BTREE_MAP, BTreeMap::from([(draw(), HashMap::from([(draw(), Max(n))]))]));
    let words = [draw(), draw(), draw()].map(|word| format!("word {word}"));
    target.merge(COUNTER, words.into_iter().collect());
    target.merge(LONGEST, Longest("x".repeat(draw() as usize) + &n.to_string()));
}

/// Asserts that a run has merged what one thread merges for the numbers below `n`.
///
/// # Panics
///
/// When it has not.
#[track_caller]
pub fn assert_all_merged(n: u64, dict: &Dict) {
    let mut serial = Dict::new();
    (0..n).for_each(|n| merge_all_kinds(n, &mut serial));
    assert_same(dict, &serial, SUM);
    assert_same(dict, &serial, SIGNED);
    assert_same(dict, &serial, MIN);
    assert_same(dict, &serial, MAX);
    assert_same(dict, &serial, HASH_SET);
    assert_same(dict, &serial, BTREE_SET);
    assert_same(dict, &serial, HASH_MAP);
    assert_same(dict, &serial, BTREE_MAP);
    assert_same(dict, &serial, COUNTER);
    assert_same(dict, &serial, LONGEST);
    assert_eq!(sorted(dict), sorted(&serial));
    assert_eq!(dict.len(), 11);
}

#[track_caller]
fn assert_same<V: Value + Clone + PartialEq + std::fmt::Debug>(a: &Dict, b: &Dict, key: Key<V>) {
    assert_eq!(a.get(key), b.get(key), "{key:?}");
    assert!(a.contains(key));
}

fn sorted(dict: &Dict) -> Option<Vec<u64>> {
    let mut items = dict.get(APPEND)?.0;
    items.sort_unstable();
    Some(items)
}
