//! Who holds a batch, under which token and for how long.

use super::*;

/// A batch is leased to one who asks for it, under a token of that one's own.
pub(super) fn one_batch_for_each_token(make: Fresh<'_>) {
    let batches = [batch(&[b"a"]), batch(&[b"b", b"c"]), batch(&[b""])];
    let run = Run::new(make, batches.clone());
    let want: Vec<_> = (0..5).map(|_| Token::random()).collect();
    let Step::Leased(leases, waiting) = run.step(None, &want) else {
        panic!("what is queued is leased");
    };
    assert_eq!(waiting, 0, "who has got a batch does not wait");
    let names: Vec<_> = leases.iter().map(|lease| lease.token).collect();
    assert_eq!(names, want[..3], "leases are named by who asks for them, in that order");
    let mut leased: Vec<_> = leases.into_iter().map(|lease| lease.batch).collect();
    leased.sort_by_key(|batch| tasks(batch)[0].clone());
    let mut all = batches.to_vec();
    all.sort_by_key(|batch| tasks(batch)[0].clone());
    assert_eq!(leased, all, "every batch is leased once, as it was posted");
    assert_eq!(run.ask(), Step::Empty(1), "what is leased is not leased again");
}

/// An answer may get lost, so asking again under the same token gives the same lease.
pub(super) fn asking_again_takes_nothing_more(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let token = Token::random();
    let first = run.step(None, &[token, token]);
    let Step::Leased(leases, 0) = &first else { panic!("what is queued is leased") };
    assert_eq!(leases.len(), 1, "a token that is asked for twice counts once");
    assert_eq!(run.step(None, &[token]), first, "asking again gives the same lease");
    assert_eq!(run.look().queued, 1, "asking again takes nothing more");
    let other = run.take();
    assert_ne!(other.batch, leases[0].batch, "a batch is leased once");
    assert_eq!(run.step(None, &[token]), first, "asking again gives the same lease");
}

/// The token of a commit is used up: a lease under it could be ended by the commit, sent again.
pub(super) fn used_tokens_are_not_leased(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let commit = Commit::new(run.take().token);
    let step = run.step(Some(&commit), &[commit.token]);
    assert_eq!(step, Step::Empty(0), "the token of a commit is not leased by that commit");
    assert_eq!(run.commit(&commit), Step::Lost, "a commit that is sent again does nothing");
    assert_eq!(run.look().queued, 1, "a commit that is sent again does nothing");
}

/// A batch of a higher priority is leased before all others.
pub(super) fn higher_priorities_come_first(make: Fresh<'_>) {
    let [low, normal, high] = [Priority::Low, Priority::Normal, Priority::High]
        .map(|priority| with_priority(priority, batch(&[b"a"])));
    let run = Run::new(make, [low.clone(), high.clone(), normal.clone(), low.clone()]);
    let first = run.take();
    assert_eq!(first.batch, high, "a batch of a higher priority is leased first");
    let posts = vec![low.clone(), high.clone()];
    let commit = Commit { posts, ..Commit::new(first.token) };
    let want: Vec<_> = (0..5).map(|_| Token::random()).collect();
    let Step::Leased(leases, _) = run.step(Some(&commit), &want) else {
        panic!("what is queued is leased");
    };
    let leased: Vec<_> = leases.into_iter().map(|lease| lease.batch).collect();
    let expected = [high, normal, low.clone(), low.clone(), low];
    assert_eq!(
        leased, expected,
        "a batch of a higher priority is leased first, posted as it may be"
    );
}

/// A lease that nobody renews comes back, and its tasks are leased to somebody else.
pub(super) fn expired_leases_come_back(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"])]);
    let lost = run.take();
    run.age();
    assert_eq!(run.ask(), Step::Empty(1), "a lease that has not expired is held");
    run.expire();
    let again = run.take();
    assert_eq!(tasks(&again.batch), tasks(&lost.batch), "an expired lease comes back");
    assert_eq!(again.batch.attempt, 1, "what has come back is another attempt");
    assert_eq!(run.outcome().returned, 1, "leases that came back are counted");
    assert_eq!(run.renew(&[lost.token, again.token]), [lost.token], "an expired lease is gone");
    run.expire();
    assert_eq!(run.take().batch.attempt, 2, "what has come back is another attempt");
    assert_eq!(run.outcome().returned, 2, "leases that came back are counted");
}

/// A lease lasts from its last renewal.
pub(super) fn renewed_leases_stay(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let [renewed, forgotten] = [run.take(), run.take()];
    let unknown = Token::random();
    assert_eq!(run.renew(&[unknown, renewed.token]), [unknown], "renewing tells what is gone");
    for _ in 0..5 {
        run.age();
        assert_eq!(run.renew(&[renewed.token]), [], "a renewed lease is held");
    }
    assert_eq!(
        run.renew(&[forgotten.token]),
        [forgotten.token],
        "each lease is renewed for itself"
    );
    assert_eq!(run.outcome().returned, 1, "only the lease that was not renewed came back");
    let step = run.commit(&Commit::new(renewed.token));
    assert_eq!(step, Step::Empty(0), "a renewed lease can be committed");
    assert_eq!(run.renew(&[renewed.token]), [renewed.token], "a committed lease is gone");
}

/// A commit that comes after its lease has come back does nothing.
pub(super) fn late_commits_do_nothing(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"])]);
    let late = run.take();
    run.expire();
    let now = run.take();
    let before = run.outcome();
    let step = run.step(Some(&rich(late.token)), &[Token::random()]);
    assert_eq!(step, Step::Lost, "a commit that comes too late is lost");
    assert_eq!(run.outcome(), before, "a commit that comes too late does nothing");
    assert_eq!(run.look().queued, 0, "a commit that comes too late posts nothing");
    run.release(late.token, Release::Crashed);
    assert_eq!(run.renew(&[now.token]), [], "who comes too late does not end another's lease");
    assert!(
        matches!(run.commit(&rich(now.token)), Step::Empty(0)),
        "the lease that holds the batch now can be committed"
    );
    assert_eq!(
        run.outcome(),
        Outcome { returned: 1, ..rich_outcome() },
        "what is committed counts once"
    );
}

/// A lease that was not started harms no task: its batch comes back as it was, as often as it may be.
pub(super) fn unstarted_leases_come_back_as_they_were(make: Fresh<'_>) {
    let whole = batch(&[b"a", b"b"]);
    let run = Run::new(make, [whole.clone()]);
    for _ in 0..5 {
        let lease = run.take();
        assert_eq!(lease.batch, whole, "what was not started comes back as it was");
        run.release(lease.token, Release::Unstarted);
        let step = run.commit(&rich(lease.token));
        assert_eq!(step, Step::Lost, "what was given back cannot be committed");
        run.release(lease.token, Release::Unstarted);
    }
    assert_eq!(run.look().queued, 1, "a lease is given back once");
    let expected = Outcome { left: 2, ..Outcome::default() };
    assert_eq!(run.outcome(), expected, "what was not started does not count");
}
