//! What a commit does: all of it, once.

use super::{together::together, *};
use crate::broker::{DeadLetter, KEPT_DEAD_LETTERS};

/// Everything that a commit says is true when it is answered, and nothing of it before.
pub(super) fn commits_are_whole(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"])]);
    let lease = run.take();
    let before = Outcome { left: 1, ..Outcome::default() };
    assert_eq!(run.outcome(), before, "what is not committed has not happened");
    assert_eq!(run.commit(&rich(lease.token)), Step::Empty(0), "what is queued holds the end open");
    assert_eq!(run.outcome(), rich_outcome(), "a commit counts and writes all that it says");
    let posted = run.take();
    assert_eq!(posted.batch, batch(&[b"x", b"y"]), "what a commit posts can be leased");
    assert_eq!(
        run.read(posted.token, "k", 0),
        Read::Entry(entry("k", 1, value("v"))),
        "what a commit writes can be read"
    );
    assert_eq!(run.commit(&Commit::new(posted.token)), Step::Done, "then nothing is left");
}

/// A commit may be sent again: the second one is lost and does nothing.
pub(super) fn commits_count_once(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"])]);
    let commit = rich(run.take().token);
    let want = [Token::random()];
    let Step::Leased(leases, 0) = run.step(Some(&commit), &want) else {
        panic!("a commit may take what it posts");
    };
    for want in [&want[..], &[], &[Token::random()]] {
        assert_eq!(
            run.step(Some(&commit), want),
            Step::Lost,
            "a commit that is sent again is lost"
        );
    }
    assert_eq!(run.outcome(), rich_outcome(), "a commit counts once, sent as often as it may be");
    assert_eq!(run.look().queued, 0, "a commit posts once, sent as often as it may be");
    assert_eq!(
        run.step(None, &want),
        Step::Leased(leases, 0),
        "who has missed the answer to a commit can ask for its lease"
    );
    assert_eq!(run.commit(&Commit::new(want[0])), Step::Done, "nothing else is left");
}

/// What a broker has answered stays true, whoever dies next.
pub(super) fn answered_commits_stay(make: Fresh<'_>) {
    let died_itself: fn(&Run, Token) = |run, token| run.release(token, Release::Crashed);
    let another_died: fn(&Run, Token) = |run, _| {
        let other = run.take().token;
        run.release(other, Release::Crashed);
    };
    let all_expired: fn(&Run, Token) = |run, _| run.expire();
    for dies in [died_itself, another_died, all_expired] {
        let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
        let commit = rich(run.take().token);
        assert!(matches!(run.commit(&commit), Step::Empty(_)), "what is queued holds the end open");
        dies(&run, commit.token);
        let outcome = Outcome { returned: 0, ..run.outcome() };
        let expected = Outcome { left: 3, ..rich_outcome() };
        assert_eq!(outcome, expected, "a commit that was answered stays");
        assert!(run.look().queued >= 2, "what an answered commit has posted stays");
        assert_eq!(
            run.commit(&commit),
            Step::Lost,
            "a commit that was answered has ended its lease"
        );
    }
}

/// A commit may keep a part of its lease, under another token.
pub(super) fn kept_leases_go_on(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a", b"b"])]);
    let first = run.take();
    run.age();
    run.age();
    let kept = Lease { token: Token::random(), batch: batch(&[b"b"]) };
    let commit = Commit { successor: Some(kept.clone()), ..rich(first.token) };
    let mut posts = commit.posts.clone();
    assert_eq!(run.step(None, &[kept.token]), Step::Empty(1), "who asks in vain waits");
    assert_eq!(run.commit(&commit), Step::Empty(0), "a kept lease holds the end open");
    assert_eq!(run.commit(&commit), Step::Lost, "a commit that is sent again is lost");
    let expected = Outcome { left: 3, ..rich_outcome() };
    assert_eq!(run.outcome(), expected, "a commit that keeps its lease counts once");
    assert_eq!(run.renew(&[first.token, kept.token]), [first.token], "the old token is gone");
    let second = Commit {
        successor: Some(Lease { token: Token::random(), ..kept }),
        ..Commit::new(kept.token)
    };
    assert_eq!(run.commit(&second), Step::Empty(0), "a kept lease can be committed and kept again");
    run.age();
    run.age();
    let last = second.successor.expect("it was kept").token;
    assert_eq!(run.renew(&[last]), [], "a kept lease lasts as long as a new one");
    run.expire();
    let back = Batch { attempt: 1, interruptions: 1, ..batch(&[b"b"]) };
    posts.push(back);
    let mut queued = vec![run.take().batch, run.take().batch];
    queued.sort_by_key(|batch| batch.attempt);
    assert_eq!(queued, posts, "what comes back of a kept lease is what was kept");
}

/// A lease that goes on under a token that is in use would take the place of another one; the commit
/// is refused.
pub(super) fn keeping_needs_a_new_token(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let [mine, other] = [run.take(), run.take()];
    for token in [mine.token, other.token] {
        let keep = Some(Lease { token, batch: batch(&[b"c"]) });
        let commit = Commit { successor: keep, ..rich(mine.token) };
        let step = run.broker.step(Some(&commit), &[]);
        assert!(step.is_err(), "a lease does not go on under a token that is in use");
    }
    let before = Outcome { left: 2, ..Outcome::default() };
    assert_eq!(run.outcome(), before, "a refused commit does nothing");
    assert_eq!(run.renew(&[mine.token, other.token]), [], "a refused commit ends no lease");
}

/// A commit that writes what has changed meanwhile does nothing at all, and its lease goes on.
pub(super) fn conflicts_change_nothing(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let [first, second] = [run.take(), run.take()];
    run.commit(&Commit { posts: Vec::new(), ..rich(first.token) });
    let before = run.outcome();
    let writes = vec![
        write("fresh", 0, value("w")),
        write("k", 0, value("w")),
        write("never", 3, None),
        write("also fresh", 0, value("w")),
    ];
    let kept = Lease { token: Token::random(), batch: batch(&[b"b"]) };
    let mut commit = Commit { writes, successor: Some(kept.clone()), ..rich(second.token) };
    let entries = vec![entry("k", 1, value("v")), entry("never", 0, None)];
    assert_eq!(
        run.step(Some(&commit), &[Token::random()]),
        Step::Conflict(Conflict { entries, locked: false }),
        "a conflict tells what has changed, all of it and nothing else"
    );
    assert_eq!(run.outcome(), before, "a commit in conflict writes and counts nothing");
    let watched = run.look();
    assert_eq!((watched.queued, watched.waiting), (0, 0), "a commit in conflict posts nothing");
    assert_eq!(
        run.renew(&[kept.token, second.token]),
        [kept.token],
        "a lease whose commit is in conflict is still held as it was"
    );
    commit.writes = vec![write("fresh", 0, value("w")), write("k", 1, value("w"))];
    assert!(matches!(run.commit(&commit), Step::Empty(_)), "a commit can be mended and sent again");
    let entries = vec![entry("fresh", 1, value("w")), entry("k", 2, value("w"))];
    assert_eq!(run.outcome().entries, entries, "a commit that was mended is applied");
}

/// Versions count writes, also those that take the value out.
pub(super) fn versions_only_grow(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"])]);
    let mut token = run.take().token;
    let mut values = [value("v"), None, None, value("v"), value("w"), None].into_iter().enumerate();
    for (version, value) in &mut values {
        let keep = Lease { token: Token::random(), batch: batch(&[b"a"]) };
        let next = keep.token;
        let writes = vec![write("k", version as u64, value.clone())];
        let commit = Commit { writes, successor: Some(keep), ..Commit::new(token) };
        assert_eq!(run.commit(&commit), Step::Empty(0), "each write is one version");
        token = next;
        let now = entry("k", version as u64 + 1, value);
        assert_eq!(run.read(token, "k", 0), Read::Entry(now.clone()), "each write is one version");
        let entries: Vec<_> = Some(now).into_iter().filter(|entry| entry.value.is_some()).collect();
        assert_eq!(run.outcome().entries, entries, "what was taken out is not in the dict");
    }
    let commit = Commit { writes: vec![write("k", 0, value("v"))], ..Commit::new(token) };
    let entries = vec![entry("k", 6, None)];
    assert_eq!(
        run.commit(&commit),
        Step::Conflict(Conflict { entries, locked: false }),
        "an entry that was taken out is not one that never was"
    );
}

/// A reader that knows the version is told no more than that.
pub(super) fn reads_know_versions(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let [first, second] = [run.take(), run.take()];
    let never = Read::Entry(entry("k", 0, None));
    assert_eq!(run.read(second.token, "k", 0), never, "an entry that never was has version 0");
    run.commit(&rich(first.token));
    let there = Read::Entry(entry("k", 1, value("v")));
    assert_eq!(run.read(second.token, "k", 0), there, "who knows nothing is told the entry");
    assert_eq!(
        run.read(second.token, "k", 7),
        there,
        "who knows another version is told the entry"
    );
    assert_eq!(run.read(second.token, "k", 1), Read::Unchanged, "who knows the version is told so");
    let another = Read::Entry(entry("other", 0, None));
    assert_eq!(run.read(second.token, "other", 1), another, "each entry has its own version");
}

/// Counts of one label add up over all commits, and so do its times.
pub(super) fn labels_add_up(make: Fresh<'_>) {
    let timed = |label: &str, tasks: u64, nanos: u64, samples: &[(u64, u64)]| LabelCount {
        times: Timing { tasks, nanos, samples: samples.to_vec() },
        ..count(label, tasks, 1)
    };
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"]), batch(&[b"c"])]);
    for (posted, labels) in [
        (1, vec![timed("b", 2, 10, &[(7, 1), (3, 1)]), timed("a", 1, 5, &[(5, 1)])]),
        (2, vec![timed("b", 3, 20, &[(9, 2), (3, 2)]), timed("b", 1, 1, &[])]),
        (u64::MAX, vec![timed("a", u64::MAX, u64::MAX, &[(5, u64::MAX)])]),
    ] {
        run.commit(&Commit { posted, labels, ..Commit::new(run.take().token) });
    }
    let most = u64::MAX;
    let mut expected =
        [timed("a", most, most, &[(5, most)]), timed("b", 6, 31, &[(3, 3), (7, 1), (9, 2)])];
    (expected[0].dead, expected[1].dead) = (2, 3);
    let mut outcome = run.outcome();
    outcome.labels.iter_mut().for_each(|label| label.times.samples.sort_unstable());
    assert_eq!(outcome.labels, expected, "counts and times of a label add up, in order of labels");
    assert_eq!(outcome.posted, most, "sums stop at the largest number");
}

/// All that die are counted; the first ones are kept in full.
pub(super) fn few_dead_letters_are_kept(make: Fresh<'_>) {
    let letters: Vec<_> = (0..KEPT_DEAD_LETTERS + 1)
        .map(|number| DeadLetter {
            task: Bytes(number.to_le_bytes().into()),
            report: Bytes(b"why".to_vec()),
            interruptions: 0,
        })
        .collect();
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    for dead in [&letters[..1], &letters[1..]] {
        let labels = vec![count("a", 0, dead.len() as u64)];
        run.commit(&Commit { labels, dead: dead.to_vec(), ..Commit::new(run.take().token) });
    }
    let outcome = run.outcome();
    assert_eq!(
        outcome.dead,
        letters[..KEPT_DEAD_LETTERS],
        "the first dead letters are kept in full"
    );
    assert_eq!(outcome.labels[0].dead, letters.len() as u64, "all that die are counted");
    assert_eq!(outcome.crashed, 0, "who dies of an error has not crashed");
}

/// A commit is lost when it is sent again, however much was committed since, and leases nothing then.
pub(super) fn a_commit_sent_again_much_later_is_lost(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let mut commits = vec![rich(run.take().token)];
    run.commit(&commits[0]);
    let mut token = run.take().token;
    for _ in 0..1000 {
        let kept = successor();
        let next = kept.token;
        let commit = Commit { successor: Some(kept), ..Commit::new(token) };
        assert_eq!(run.commit(&commit), Step::Empty(0), "a lease can be kept again and again");
        commits.push(commit);
        token = next;
    }
    let (before, queued) = (run.outcome(), run.look().queued);
    for commit in commits.iter().step_by(97) {
        let step = run.step(Some(commit), &[Token::random()]);
        assert_eq!(step, Step::Lost, "a commit that is sent again much later is lost");
    }
    assert_eq!(run.outcome(), before, "a commit that is sent again much later does nothing");
    assert_eq!(run.look().queued, queued, "a commit that is lost leases nothing");
}

/// A commit may be sent again while it is still being applied: one of the two is lost.
pub(super) fn equal_commits_at_the_same_time_count_once(make: Fresh<'_>) {
    const ROUNDS: usize = 100;
    let run = Run::new(make, vec![batch(&[b"a"]); ROUNDS + 1]);
    for round in 1..=ROUNDS {
        let labels = vec![count("a", 1, 0)];
        let commit = Commit { posted: 1, labels, ..Commit::new(run.take().token) };
        let steps = together(&run, 2, |member| member.run.commit(&commit));
        let lost = steps.iter().filter(|&step| *step == Step::Lost).count();
        assert_eq!(lost, 1, "of two equal commits at the same time one is lost");
        let posted = run.outcome().posted;
        assert_eq!(posted, round as u64, "two equal commits at the same time count once");
    }
}

/// Of two commits that write one entry at the same time one is a conflict: no write is lost.
pub(super) fn writes_at_the_same_time_are_all_kept(make: Fresh<'_>) {
    const WRITERS: u32 = 4;
    const TIMES: u64 = 100;
    let run = Run::new(make, vec![batch(&[b"a"]); WRITERS as usize]);
    together(&run, WRITERS, |member| {
        let mut token = member.run.take().token;
        let mut known = entry("sum", 0, None);
        for _ in 0..TIMES {
            (token, known) = add_one(&member.run, token, known);
        }
    });
    let sum = TIMES * u64::from(WRITERS);
    let entries = [entry("sum", sum, value(&sum.to_string()))];
    assert_eq!(run.outcome().entries, entries, "writes at the same time are all kept");
}

/// Adds one to what is there, `known` or not, and keeps the lease. The new token, and what is known now.
fn add_one(run: &Run, token: Token, mut known: Entry) -> (Token, Entry) {
    loop {
        let kept = successor();
        let next = kept.token;
        let now = value(&(number_of(&known) + 1).to_string());
        let writes = vec![write("sum", known.version, now.clone())];
        let commit = Commit { writes, successor: Some(kept), ..Commit::new(token) };
        match run.commit(&commit) {
            Step::Conflict(Conflict { mut entries, locked: false }) if entries.len() == 1 => {
                known = entries.remove(0);
            }
            step => {
                assert_eq!(step, Step::Empty(0), "a commit is applied or in conflict");
                return (next, entry("sum", known.version + 1, now));
            }
        }
    }
}
