//! Values that grow without a lock: each worker merges into its own, all are joined at the end.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{BuildHasher, Hash, RandomState},
    ops::{Deref, DerefMut},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// A value that another one can be merged into.
///
/// Workers merge in any order and any grouping, so merging should be commutative and associative:
/// else the result depends on how tasks fell on workers. If it panics on values of tasks that have
/// finished, the entry is broken and the run fails.
///
/// ```
/// use prunner::Merge;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Longest(String);
///
/// impl Merge for Longest {
///     fn merge(&mut self, other: Self) {
///         // The longer one; of two equally long ones the first in the alphabet.
///         if (other.0.len(), &self.0) > (self.0.len(), &other.0) {
///             *self = other;
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be merged",
    note = "wrap it in `Sum`, `Min`, `Max` or `Append`, use a set, a map of such values or a \
            `Counter`, or implement `Merge`; for real read-modify-write take the lock"
)]
pub trait Merge {
    /// Merges `other` into this value.
    fn merge(&mut self, other: Self);
}

/// A sum of integers, floats or durations: merging adds.
///
/// ```
/// use prunner::{Merge, Sum};
///
/// let mut pages = Sum(3);
/// pages.merge(Sum(4));
/// assert_eq!(pages, Sum(7));
/// ```
///
/// # Panics
///
/// Merging panics when an integer or a duration overflows: no sum is better than a wrong one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Sum<N>(pub N);

macro_rules! checked_sums {
    ($($number:ty)*) => {$(
        impl Merge for Sum<$number> {
            #[inline]
            fn merge(&mut self, other: Self) {
                match self.0.checked_add(other.0) {
                    Some(sum) => self.0 = sum,
                    None => sum_overflows(stringify!($number)),
                }
            }
        }
    )*};
}

checked_sums!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize Duration);

/// The sum of two counts.
fn count_up(count: u64, more: u64) -> u64 {
    count.checked_add(more).unwrap_or_else(|| counter_overflows())
}

#[cold]
fn counter_overflows() -> ! {
    panic!("a Counter overflows: it counts up to {}", u64::MAX);
}

#[cold]
fn sum_overflows(number: &str) -> ! {
    panic!("a Sum<{number}> overflows: use a wider number");
}

macro_rules! float_sums {
    ($($number:ty)*) => {$(
        impl Merge for Sum<$number> {
            #[inline]
            fn merge(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
    )*};
}

float_sums!(f32 f64);

/// The smallest value.
///
/// ```
/// use prunner::{Merge, Min};
///
/// let mut shortest = Min(3);
/// shortest.merge(Min(4));
/// assert_eq!(shortest, Min(3));
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Min<T>(pub T);

impl<T: PartialOrd> Merge for Min<T> {
    #[inline]
    fn merge(&mut self, other: Self) {
        if other.0 < self.0 {
            self.0 = other.0;
        }
    }
}

/// The largest value.
///
/// ```
/// use prunner::{Max, Merge};
///
/// let mut longest = Max(3);
/// longest.merge(Max(4));
/// assert_eq!(longest, Max(4));
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Max<T>(pub T);

impl<T: PartialOrd> Merge for Max<T> {
    #[inline]
    fn merge(&mut self, other: Self) {
        if other.0 > self.0 {
            self.0 = other.0;
        }
    }
}

/// A list: merging appends. The order is that of the merges on each worker and arbitrary between
/// workers; sort at the end where it matters.
///
/// ```
/// use prunner::{Append, Merge};
///
/// let mut pages = Append::one("first");
/// pages.merge(Append::one("second"));
/// assert_eq!(pages.0, ["first", "second"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Append<T>(pub Vec<T>);

impl<T> Append<T> {
    /// A list of one item.
    pub fn one(item: T) -> Self {
        Self(vec![item])
    }
}

impl<T> Default for Append<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Merge for Append<T> {
    fn merge(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }
}

impl<T: Eq + Hash, S: BuildHasher> Merge for HashSet<T, S> {
    fn merge(&mut self, other: Self) {
        self.extend(other);
    }
}

impl<T: Ord> Merge for BTreeSet<T> {
    fn merge(&mut self, mut other: Self) {
        self.append(&mut other);
    }
}

/// The union of the keys; the values of a key that both have are merged.
impl<K: Eq + Hash, V: Merge, S: BuildHasher> Merge for HashMap<K, V, S> {
    fn merge(&mut self, mut other: Self) {
        if other.len() > self.len() {
            std::mem::swap(self, &mut other);
        }
        for (key, value) in other {
            match self.get_mut(&key) {
                Some(mine) => mine.merge(value),
                None => _ = self.insert(key, value),
            }
        }
    }
}

/// The union of the keys; the values of a key that both have are merged.
impl<K: Ord, V: Merge> Merge for BTreeMap<K, V> {
    fn merge(&mut self, other: Self) {
        for (key, value) in other {
            match self.get_mut(&key) {
                Some(mine) => mine.merge(value),
                None => _ = self.insert(key, value),
            }
        }
    }
}

/// How often each item was counted: what Python calls a `Counter`. `S` hashes the items, as in a
/// `HashMap`.
///
/// ```
/// use prunner::{Counter, Merge};
///
/// let mut words: Counter<String> = ["to", "be", "or", "not", "to", "be"].map(String::from).into_iter().collect();
/// words.merge(Counter::from_iter(["be".to_string()]));
/// assert_eq!(words.count("be"), 3);
/// assert_eq!(words.total(), 7);
/// assert_eq!(words.most_common(2), [(&"be".to_string(), 3), (&"to".to_string(), 2)]);
///
/// let mut sizes: Counter<u64> = Counter::new();
/// sizes.add(7);
/// sizes.add_many(8, 3);
/// sizes.add_ref(&8);
/// assert_eq!((sizes.count(&7), sizes.count(&8), sizes.count(&9)), (1, 4, 0));
/// ```
///
/// # Panics
///
/// Counting, merging and [`total`](Counter::total) panic when a count overflows, as a [`Sum`] does: no
/// count is better than a wrong one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(
    serialize = "T: Serialize",
    deserialize = "T: Eq + Hash + Deserialize<'de>, S: BuildHasher + Default"
))]
pub struct Counter<T, S = RandomState>(HashMap<T, u64, S>);

impl<T: Eq + Hash, S: BuildHasher + Default> Counter<T, S> {
    /// Makes an empty counter.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts `item` once more.
    pub fn add(&mut self, item: T) {
        self.add_many(item, 1);
    }

    /// Counts `item` `times` more.
    pub fn add_many(&mut self, item: T, times: u64) {
        let count = self.0.entry(item).or_default();
        *count = count_up(*count, times);
    }

    /// Counts a borrowed item once more; it is copied only when it is new.
    pub fn add_ref<Q>(&mut self, item: &Q)
    where
        T: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = T> + ?Sized,
    {
        match self.0.get_mut(item) {
            Some(count) => *count = count_up(*count, 1),
            None => _ = self.0.insert(item.to_owned(), 1),
        }
    }

    /// How often `item` was counted.
    pub fn count<Q>(&self, item: &Q) -> u64
    where
        T: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get(item).copied().unwrap_or_default()
    }

    /// The sum of all counts.
    pub fn total(&self) -> u64 {
        self.0.values().copied().fold(0, count_up)
    }

    /// The `n` items with the highest counts, equal counts in the order of the items.
    pub fn most_common(&self, n: usize) -> Vec<(&T, u64)>
    where
        T: Ord,
    {
        let mut items: Vec<_> = self.0.iter().map(|(item, &count)| (item, count)).collect();
        let by_count_then_item =
            |a: &(&T, u64), b: &(&T, u64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0));
        if n < items.len() {
            items.select_nth_unstable_by(n, by_count_then_item);
            items.truncate(n);
        }
        items.sort_unstable_by(by_count_then_item);
        items
    }
}

impl<T: Eq + Hash, S: BuildHasher> PartialEq for Counter<T, S> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Eq + Hash, S: BuildHasher> Eq for Counter<T, S> {}

impl<T, S: Default> Default for Counter<T, S> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<T: Eq + Hash, S: BuildHasher> Merge for Counter<T, S> {
    fn merge(&mut self, mut other: Self) {
        if other.0.len() > self.0.len() {
            std::mem::swap(self, &mut other);
        }
        for (item, count) in other.0 {
            let mine = self.0.entry(item).or_default();
            *mine = count_up(*mine, count);
        }
    }
}

impl<T: Eq + Hash, S: BuildHasher + Default> FromIterator<T> for Counter<T, S> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut counter = Self::default();
        counter.extend(items);
        counter
    }
}

impl<T: Eq + Hash, S: BuildHasher + Default> Extend<T> for Counter<T, S> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.add(item);
        }
    }
}

impl<T, S> Deref for Counter<T, S> {
    type Target = HashMap<T, u64, S>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T, S> DerefMut for Counter<T, S> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged<M: Merge>(mut a: M, b: M) -> M {
        a.merge(b);
        a
    }

    #[test]
    fn each_kind_merges_as_it_says() {
        assert_eq!(merged(Sum(2), Sum(3)), Sum(5));
        assert_eq!(merged(Min(2), Min(3)), Min(2));
        assert_eq!(merged(Max(2), Max(3)), Max(3));
        assert_eq!(merged(Append(vec![1]), Append(vec![2, 3])), Append(vec![1, 2, 3]));
        assert_eq!(merged(BTreeSet::from([1, 2]), BTreeSet::from([2, 3])), [1, 2, 3].into());
        assert_eq!(merged(HashSet::from([1, 2]), HashSet::from([2, 3])), [1, 2, 3].into());
        let (a, b) = ([(1, Sum(1)), (2, Sum(2))], [(2, Sum(3)), (3, Sum(4)), (4, Sum(5))]);
        let all = [(1, Sum(1)), (2, Sum(5)), (3, Sum(4)), (4, Sum(5))];
        assert_eq!(merged(BTreeMap::from(a), BTreeMap::from(b)), BTreeMap::from(all));
        assert_eq!(merged(HashMap::from(a), HashMap::from(b)), HashMap::from(all));
        assert_eq!(merged(HashMap::from(b), HashMap::from(a)), HashMap::from(all));
    }

    #[test]
    fn most_common_cuts_at_n_and_breaks_ties_by_item() {
        let counter: Counter<u32> = [5, 5, 1, 1, 9, 3, 3, 3].into_iter().collect();
        assert_eq!(counter.most_common(2), [(&3, 3), (&1, 2)]);
        assert_eq!(counter.most_common(9), [(&3, 3), (&1, 2), (&5, 2), (&9, 1)]);
        assert_eq!(counter.most_common(0), []);
    }

    /// As a sum does; a count that has wrapped around would be a wrong answer.
    #[test]
    fn a_counter_that_overflows_panics() {
        let full = || {
            let mut counter = Counter::<u32>::new();
            counter.add_many(1, u64::MAX);
            counter
        };
        let overflows: [fn(Counter<u32>); 5] = [
            |mut counter| counter.add(1),
            |mut counter| counter.add_ref(&1),
            |mut counter| counter.add_many(1, 2),
            |mut counter| counter.merge([1].into_iter().collect()),
            |mut counter| {
                counter.add(2);
                counter.total();
            },
        ];
        for overflow in overflows {
            let panic = std::panic::catch_unwind(|| overflow(full())).expect_err("it overflows");
            let text = panic.downcast_ref::<String>().map(String::as_str);
            assert_eq!(text, Some("a Counter overflows: it counts up to 18446744073709551615"));
        }
    }
}
