//! How much there may be at once.

use std::collections::BTreeSet;

use super::*;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Batches that one commit posts, and leases that are renewed at once.
const POSTS: u32 = 9000;

/// Leases that are asked for at once.
const WANTED: usize = 1000;

/// Entries and labels of one commit.
const NAMES: usize = 2000;

/// What a commit posts, writes and counts may be much, and so may be what is asked for and renewed.
pub(super) fn a_commit_may_be_large(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"])]);
    let names = || (0..NAMES).map(|number| format!("name {number}"));
    let times = Timing { tasks: 1, nanos: 1, samples: (0..20).map(|nanos| (nanos, 1)).collect() };
    let commit = Commit {
        posts: (0..POSTS).map(|number| batch(&[&number.to_le_bytes()])).collect(),
        writes: names().map(|name| write(&name, 0, value("v"))).collect(),
        labels: names()
            .map(|name| LabelCount { times: times.clone(), ..count(&name, 1, 0) })
            .collect(),
        ..Commit::new(run.take().token)
    };
    assert_eq!(run.commit(&commit), Step::Empty(0), "a commit may be large");
    let outcome = run.outcome();
    assert_eq!(outcome.entries.len(), NAMES, "a commit may write many entries");
    assert_eq!(outcome.labels.len(), NAMES, "a commit may count many labels");
    let leases = take_many(&run);
    let tokens: Vec<_> = leases.iter().map(|lease| lease.token).collect();
    let posted: BTreeSet<_> = leases.iter().map(|lease| tasks(&lease.batch)).collect();
    let counts = (leases.len(), posted.len());
    assert_eq!(counts, (POSTS as usize, POSTS as usize), "a commit may post many batches");
    for _ in 0..3 {
        run.age();
        assert_eq!(run.renew(&tokens), [], "many leases are renewed at once");
    }
    large_batches(make);
    a_large_value(make);
}

/// Takes all that is queued, many at a time.
fn take_many(run: &Run) -> Vec<Lease> {
    let mut leases = Vec::new();
    loop {
        let queued = run.look().queued;
        let want: Vec<_> = (0..WANTED).map(|_| Token::random()).collect();
        match run.step(None, &want) {
            Step::Leased(more, _) => {
                assert_eq!(more.len(), queued.min(WANTED), "a batch is leased for each token");
                leases.extend(more);
            }
            step => {
                assert_eq!((step, queued), (Step::Empty(1), 0), "what is queued is leased");
                return leases;
            }
        }
    }
}

fn large_batches(make: Fresh<'_>) {
    let many: Vec<_> = (0..6000_u32).map(u32::to_le_bytes).collect();
    let many: Vec<_> = many.iter().map(|task| &task[..]).collect();
    let [long, half] = [vec![3; 5 * MIB], vec![4; 40 * KIB]];
    for large in [batch(&many), batch(&[&long, b"x"]), batch(&[&half, &half])] {
        let run = Run::new(make, [large.clone()]);
        let lease = run.take();
        assert!(lease.batch == large, "a batch comes as it was posted, however large");
        run.release(lease.token, Release::Crashed);
        assert_eq!(run.look().queued, large.tasks.len(), "each task of a large batch comes back");
    }
}

fn a_large_value(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"])]);
    let large = Some(Encoded { type_name: "bytes".into(), bytes: Bytes(vec![9; 9 * MIB]) });
    let writes = vec![write("k", 0, large.clone())];
    run.commit(&Commit { writes, ..Commit::new(run.take().token) });
    assert!(run.outcome().entries == [entry("k", 1, large)], "a value may be large");
}
