//! The lock of the dict, and who may write what under it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{together::together, *};

/// Who holds the lock holds it until its lease ends with a commit, however often others ask and however
/// long it takes.
pub(super) fn the_lock_is_held_until_the_commit(make: Fresh<'_>) {
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
pub(super) fn the_lock_is_freed_with_its_lease(make: Fresh<'_>) {
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
        run.read(holder, "k", 0);
        end(&run, holder, next);
        assert_eq!(run.lock(next), Lock::Held, "the lock falls with its lease");
        let third = run.take().token;
        assert_eq!(run.lock(third), Lock::Busy, "one lease holds the lock");
        end(&run, third, next);
        assert_eq!(run.look().lock_waiting, 0, "who waits for the lock leaves with its lease");
        let writer = run.take().token;
        let writes = vec![write("k", 0, value("v"))];
        let step =
            run.commit(&Commit { writes, successor: Some(successor()), ..Commit::new(writer) });
        assert_eq!(step, Step::Empty(0), "what was read under the lock is free after it");
        run.commit(&Commit { posts: vec![batch(&[b"c"])], ..Commit::new(next) });
        let last = run.take().token;
        assert_eq!(run.lock(last), Lock::Held, "a lease that is gone is not given the lock");
    }
}

/// The lock goes to whoever has asked first.
pub(super) fn the_lock_is_given_in_turn(make: Fresh<'_>) {
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
pub(super) fn read_entries_wait_for_the_lock(make: Fresh<'_>) {
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
pub(super) fn gone_leases_neither_lock_nor_read(make: Fresh<'_>) {
    let run = Run::new(make, vec![batch(&[b"a"]); 3]);
    let [committed, released, expired] = [(); 3].map(|()| run.take().token);
    run.commit(&Commit::new(committed));
    run.release(released, Release::Unstarted);
    run.expire();
    for token in [committed, released, expired, Token::random()] {
        assert_eq!(run.lock(token), Lock::Lost, "a lease that is gone is not given the lock");
        assert_eq!(run.read(token, "k", 0), Read::Lost, "a lease that is gone reads nothing");
    }
    let holder = run.take().token;
    assert_eq!(run.lock(holder), Lock::Held, "a lease that is gone does not wait for the lock");
    let other = run.take().token;
    for token in [committed, expired, Token::random()] {
        run.release(token, Release::Crashed);
        assert_eq!(run.lock(other), Lock::Busy, "a lease that is gone frees no lock");
    }
}

/// Who leaves the line for the lock leaves alone, and a holder that keeps its lease leaves the line as
/// it is.
pub(super) fn the_line_for_the_lock_keeps_its_order(make: Fresh<'_>) {
    const LENGTH: usize = 6;
    for gone in 1..LENGTH {
        let run = Run::new(make, vec![batch(&[b"a"]); LENGTH]);
        let mut line: Vec<_> = (0..LENGTH).map(|_| run.take().token).collect();
        for &token in &line {
            run.lock(token);
        }
        run.release(line.remove(gone), Release::Unstarted);
        let mut waiting = line.len();
        for &token in &line {
            waiting -= 1;
            let counted = run.look().lock_waiting;
            assert_eq!(counted, waiting, "who leaves the line for the lock leaves alone");
            let lock = run.lock(token);
            assert_eq!(lock, Lock::Held, "who leaves the line for the lock leaves alone");
            run.commit(&Commit { successor: Some(successor()), ..Commit::new(token) });
        }
    }
}

/// A commit of the lock's holder that is a conflict ends nothing: neither the lock nor what was read
/// under it, nor is anything of the commit forgotten or leased.
pub(super) fn a_conflict_keeps_the_lock(make: Fresh<'_>) {
    let run = Run::new(make, vec![batch(&[b"a"]); 4]);
    let [holder, other, third] = [(); 3].map(|()| run.take().token);
    run.commit(&Commit { writes: vec![write("stale", 0, value("v"))], ..Commit::new(third) });
    assert_eq!(run.lock(holder), Lock::Held, "a free lock is given");
    run.read(holder, "k", 0);
    let writes = vec![write("stale", 0, value("1")), write("k", 0, value("1"))];
    let mut commit = Commit { writes, ..Commit::new(holder) };
    let entries = vec![entry("stale", 1, value("v"))];
    let conflict = Step::Conflict(Conflict { entries, locked: false });
    let step = run.step(Some(&commit), &[Token::random()]);
    assert_eq!(step, conflict, "versions decide under the lock, too");
    assert_eq!(run.look().queued, 1, "a commit in conflict leases nothing");
    assert_eq!(run.lock(other), Lock::Busy, "a conflict keeps the lock");
    let intruder = Commit { writes: vec![write("k", 0, value("2"))], ..Commit::new(other) };
    let conflict = Step::Conflict(Conflict { entries: vec![], locked: true });
    assert_eq!(run.commit(&intruder), conflict, "a conflict keeps what was read under the lock");
    commit.writes[0].version = 1;
    assert_eq!(run.commit(&commit), Step::Empty(0), "a commit can be mended and sent again");
    let entries = [entry("k", 1, value("1")), entry("stale", 2, value("1"))];
    assert_eq!(run.outcome().entries, entries, "a commit that was mended is applied whole");
}

/// One lease at a time holds the lock, though many ask at the same time; what it has read then is what it
/// can write.
pub(super) fn the_lock_excludes(make: Fresh<'_>) {
    const MEMBERS: u32 = 4;
    const TIMES: u64 = 50;
    let run = Run::new(make, vec![batch(&[b"a"]); MEMBERS as usize]);
    let held = AtomicBool::new(false);
    together(&run, MEMBERS, |member| {
        let mut token = member.run.take().token;
        for _ in 0..TIMES {
            member.wait_for_the_lock(token);
            token = add_under_the_lock(&member.run, token, &held);
        }
    });
    let sums: Vec<_> = run.outcome().entries.iter().map(number_of).collect();
    assert_eq!(sums, [TIMES * u64::from(MEMBERS)], "what is written under the lock is kept");
}

/// Adds one while the lock is held, and keeps the lease under the token that is returned.
fn add_under_the_lock(run: &Run, token: Token, held: &AtomicBool) -> Token {
    assert!(!held.swap(true, Ordering::SeqCst), "one lease at a time holds the lock");
    let Read::Entry(known) = run.read(token, "sum", 0) else { panic!("a lease in time reads") };
    // Meanwhile the others ask.
    thread::yield_now();
    let kept = successor();
    let next = kept.token;
    let writes = vec![write("sum", known.version, value(&(number_of(&known) + 1).to_string()))];
    let commit = Commit { writes, successor: Some(kept), ..Commit::new(token) };
    held.store(false, Ordering::SeqCst);
    assert_eq!(run.commit(&commit), Step::Empty(0), "what was read under the lock can be written");
    next
}
