//! The lock of the dict, and who may write what under it.

use super::*;

/// Who holds the lock holds it until its lease ends with a commit, however often others ask and however
/// long it takes.
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn the_lock_is_held_until_the_commit(make: Make<'_>) {
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let [holder, other] = [run.take(), run.take()];
    assert_eq!(run.lock(holder.token), Lock::Held, "a free lock is given");
    for _ in 0..5 {
        assert_eq!(run.lock(other.token), Lock::Busy, "the lock is held until the commit");
        assert_eq!(
            run.lock(holder.token),
            Lock::Held,
            "who holds the lock holds it when it asks again"
        );
        assert_eq!(run.look().lock_waiting, 1, "who waits for the lock is counted once");
        run.read(holder.token, "k", 0);
        run.age();
        run.renew(&[holder.token, other.token]);
    }
    let kept = Token::random();
    let keep = Some(Lease { token: kept, batch: holder.batch });
    run.commit(&Commit { successor: keep, ..Commit::new(holder.token) });
    assert_eq!(
        run.lock(other.token),
        Lock::Held,
        "a commit frees the lock, also one that keeps its lease"
    );
    assert_eq!(run.look().lock_waiting, 0, "who holds the lock does not wait for it");
    assert_eq!(run.lock(kept), Lock::Busy, "a kept lease has let the lock go");
    run.commit(&Commit::new(other.token));
    assert_eq!(run.lock(kept), Lock::Held, "a commit frees the lock");
}

/// A lease that ends without a commit frees the lock and leaves the queue for it.
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn the_lock_is_freed_with_its_lease(make: Make<'_>) {
    let released: fn(&Run, Token, Token) = |run, gone, _| run.release(gone, Release::Crashed);
    let shut_down: fn(&Run, Token, Token) = |run, gone, _| run.release(gone, Release::Unstarted);
    let expired: fn(&Run, Token, Token) = |run, _, stays| {
        for _ in 0..4 {
            run.age();
            run.renew(&[stays]);
        }
    };
    for end in [released, shut_down, expired] {
        let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
        let [holder, next] = [run.take().token, run.take().token];
        assert_eq!(run.lock(holder), Lock::Held, "a free lock is given");
        assert_eq!(run.lock(next), Lock::Busy, "one lease holds the lock");
        end(&run, holder, next);
        assert_eq!(run.lock(next), Lock::Held, "the lock falls with its lease");
        let third = run.take().token;
        assert_eq!(run.lock(third), Lock::Busy, "one lease holds the lock");
        end(&run, third, next);
        assert_eq!(run.look().lock_waiting, 0, "who waits for the lock leaves with its lease");
        run.commit(&Commit::new(next));
        let last = run.take().token;
        assert_eq!(run.lock(last), Lock::Held, "a lease that is gone is not given the lock");
    }
}

/// The lock goes to whoever has asked first.
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn the_lock_is_given_in_turn(make: Make<'_>) {
    let run = Run::new(make, vec![batch(&[b"a"]); 5]);
    let line: Vec<_> = (0..5).map(|_| run.take().token).collect();
    for token in &line {
        run.lock(*token);
    }
    for at in 0..line.len() {
        // The last one asks most often, which does not help.
        for token in line[at + 1..].iter().rev() {
            assert_eq!(
                run.lock(*token),
                Lock::Busy,
                "the lock is given in the order of first questions"
            );
        }
        let answer = run.lock(line[at]);
        assert_eq!(answer, Lock::Held, "the lock is given in the order of first questions");
        assert_eq!(
            run.look().lock_waiting,
            line.len() - at - 1,
            "who waits for the lock is counted"
        );
        run.commit(&Commit::new(line[at]));
    }
}

/// What the holder of the lock has read, nobody else writes until the lock is free.
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn read_entries_wait_for_the_lock(make: Make<'_>) {
    let run = Run::new(make, vec![batch(&[b"a"]); 3]);
    let [holder, other, third] = [(); 3].map(|()| run.take().token);
    run.read(other, "k", 0);
    assert_eq!(run.lock(holder), Lock::Held, "a free lock is given");
    run.read(holder, "k", 0);
    run.read(holder, "gone", 0);
    let free = Commit { writes: vec![write("free", 0, value("v"))], ..Commit::new(third) };
    assert_eq!(run.commit(&free), Step::Empty(0), "what the holder has not read can be written");
    let before = run.outcome();

    let mut commit = rich(other);
    let locked = |entries| Step::Conflict(Conflict { entries, locked: true });
    assert_eq!(
        run.commit(&commit),
        locked(vec![]),
        "what the holder has read is not written by others"
    );
    commit.writes.push(write("free", 0, None));
    assert_eq!(
        run.commit(&commit),
        locked(vec![entry("free", 1, value("v"))]),
        "a conflict tells what has changed, but not what is merely locked"
    );
    commit.writes[1].version = 1;
    assert_eq!(
        run.commit(&commit),
        locked(vec![]),
        "what the holder has read is not written by others"
    );
    assert_eq!(run.outcome(), before, "a commit in conflict does nothing");

    let writes = vec![write("k", 0, value("mine"))];
    let done = run.commit(&Commit { writes, ..Commit::new(holder) });
    assert_eq!(done, Step::Empty(0), "the holder of the lock writes what it has read");
    assert_eq!(
        run.commit(&commit),
        Step::Conflict(Conflict { entries: vec![entry("k", 1, value("mine"))], locked: false }),
        "the lock falls with the commit, and then versions decide"
    );
    commit.writes[0].version = 1;
    commit.writes.push(write("gone", 0, value("v")));
    assert!(
        matches!(run.commit(&commit), Step::Empty(_)),
        "what was read under the lock is free after it"
    );
}

/// A lease that is gone holds no lock, gets none and reads nothing.
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn gone_leases_neither_lock_nor_read(make: Make<'_>) {
    let run = Run::new(make, vec![batch(&[b"a"]); 3]);
    let [committed, released, expired] = [(); 3].map(|()| run.take().token);
    run.commit(&Commit::new(committed));
    run.release(released, Release::Unstarted);
    run.expire();
    for token in [committed, released, expired, Token::random()] {
        assert_eq!(run.lock(token), Lock::Lost, "a lease that is gone is not given the lock");
        assert_eq!(run.read(token, "k", 0), Read::Lost, "a lease that is gone reads nothing");
    }
    assert_eq!(
        run.lock(run.take().token),
        Lock::Held,
        "a lease that is gone does not wait for the lock"
    );
}
