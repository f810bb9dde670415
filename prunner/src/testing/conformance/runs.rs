//! What belongs to one run alone.

use super::*;

/// Runs that go on at the same time have nothing in common: neither leases nor the lock, neither the
/// dict nor counts, nor the end.
pub(super) fn runs_are_apart(make: Fresh<'_>) {
    let [one, other] = [(); 2].map(|()| Run::new(make, [batch(&[b"a"])]));
    let [mine, theirs] = [one.take().token, other.take().token];
    assert_eq!(other.renew(&[mine]), [mine], "a lease is that of one run");
    for (run, token) in [(&one, mine), (&other, theirs)] {
        assert_eq!(run.lock(token), Lock::Held, "each run has a lock of its own");
    }
    let commit = Commit { posts: Vec::new(), ..rich(mine) };
    assert_eq!(other.commit(&commit), Step::Lost, "a lease is that of one run");
    assert_eq!(one.commit(&commit), Step::Done, "each run has an end of its own");
    let nothing = Outcome { left: 1, ..Outcome::default() };
    assert_eq!(other.outcome(), nothing, "what is committed is true in one run");
    let never = Read::Entry(entry("k", 0, None));
    assert_eq!(other.read(theirs, "k", 0), never, "each run has a dict of its own");
    assert!(!other.look().done, "each run has an end of its own");
    assert_eq!(other.commit(&commit), Step::Lost, "a lease is that of one run");
    assert_eq!(other.commit(&rich(theirs)), Step::Empty(0), "each run has leases of its own");
    assert_eq!(other.outcome(), rich_outcome(), "each run has counts of its own");
}
