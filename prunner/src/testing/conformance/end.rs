//! When a run is over, and who waits until then.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use super::{together::ends_during, *};
use crate::broker::{MOST_CRASHES, MOST_INTERRUPTIONS};

/// How long one watches who must be woken before: so short that a case that waits in vain can say so.
fn patience(run: &Run) -> Duration {
    run.harness.limit() / 2
}

/// A run is over when nothing is queued and no lease is out, and it stays over.
pub(super) fn done_when_nothing_is_left(make: Fresh<'_>) {
    let run = Run::new(make, []);
    assert_eq!(run.step(None, &[]), Step::Done, "a run without tasks is over");

    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    assert_eq!(run.step(None, &[]), Step::Empty(0), "what is queued holds the end open");
    let [first, second] = [run.take().token, run.take().token];
    assert_eq!(run.step(None, &[]), Step::Empty(0), "a lease holds the end open");
    assert_eq!(run.commit(&Commit::new(first)), Step::Empty(0), "a lease holds the end open");
    assert!(!run.look().done, "a lease holds the end open");
    run.release(second, Release::Crashed);
    assert_eq!(run.step(None, &[]), Step::Empty(0), "what has come back holds the end open");
    let second = run.take().token;
    let waits = Token::random();
    assert_eq!(run.step(None, &[waits]), Step::Empty(1), "who has asked in vain waits");
    let step = run.step(Some(&Commit::new(second)), &[Token::random()]);
    assert_eq!(step, Step::Done, "the last commit is told that it was the last");
    for _ in 0..3 {
        assert_eq!(run.step(None, &[waits]), Step::Done, "the end stays");
        assert_eq!(run.step(None, &[]), Step::Done, "the end stays");
    }
    let watched = run.look();
    assert!(watched.done, "who watches sees the end");
    assert_eq!((watched.waiting, watched.queued), (0, 0), "at the end nobody waits");
    assert_eq!(run.commit(&Commit::new(second)), Step::Lost, "a commit sent again is lost");
}

/// A commit that posts is not the end: it takes its own posts in the same step.
pub(super) fn a_commit_takes_its_own_posts(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"])]);
    let mut token = run.take().token;
    for _ in 0..5 {
        let next = Token::random();
        let commit = Commit { posts: vec![batch(&[b"x"])], ..Commit::new(token) };
        let lease = Lease { token: next, batch: batch(&[b"x"]) };
        assert_eq!(
            run.step(Some(&commit), &[next]),
            Step::Leased(vec![lease], 0),
            "a commit takes its own posts in one step"
        );
        token = next;
    }
    let step = run.step(Some(&Commit::new(token)), &[Token::random()]);
    assert_eq!(step, Step::Done, "a commit that posts nothing ends the run");
}

/// What has not ended is counted where it is, queued or leased, whatever workers claim to have posted.
pub(super) fn what_is_left_is_counted(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a", b"b"]), batch(&[b"c"]), batch(&[b"d"])]);
    assert_eq!(run.outcome().left, 4, "queued tasks are left");
    let mut leases: Vec<_> = (0..3).map(|_| run.take()).collect();
    leases.sort_by_key(|lease| tasks(&lease.batch));
    assert_eq!(run.outcome().left, 4, "leased tasks are left");
    let keep = Some(Lease { token: Token::random(), batch: batch(&[b"b"]) });
    let posts = vec![batch(&[b"e", b"f", b"g"])];
    let labels = vec![count("a", 1, 0)];
    run.commit(&Commit {
        successor: keep,
        posts,
        posted: 90,
        labels,
        ..Commit::new(leases[0].token)
    });
    assert_eq!(run.outcome().left, 6, "what is left is counted, not computed");
    run.release(leases[1].token, Release::Unstarted);
    run.release(leases[2].token, Release::Crashed);
    assert_eq!(run.outcome().left, 6, "what has come back is left");
    run.commit(&Commit::new(run.take().token));
    assert!(run.outcome().left < 6, "what has ended is not left");
}

/// How many tasks come of a task of `depth`, itself included.
fn tree(depth: u8) -> u64 {
    1 + children(depth).map(|child| tree(child[0])).sum::<u64>()
}

/// A chain that is now and then two: most of the time one lease is out and all others look for the end.
fn children(depth: u8) -> impl Iterator<Item = [u8; 1]> {
    let times = if depth.is_multiple_of(16) { 2 } else { 1 };
    (0..times).filter(move |_| depth > 0).map(move |_| [depth - 1])
}

/// How a worker of [`many_find_the_end_together`] came to its end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Last,
    TooEarly,
    Never,
}

/// Runs tasks until it is told that the run is over; `ended` counts tasks before their commit.
fn work(run: &Run, ended: &AtomicU64, all: u64, watches: bool) -> End {
    let started = Instant::now();
    let patience = patience(run);
    let mut commit: Option<Commit> = None;
    let mut token = Token::random();
    while started.elapsed() < patience {
        let seen = if watches { run.look().seen } else { 0 };
        match run.step(commit.as_ref(), &[token]) {
            Step::Leased(leases, _) => {
                let next: Vec<_> = leases
                    .iter()
                    .flat_map(|lease| tasks(&lease.batch))
                    .inspect(|_| {
                        // Meanwhile the others look for the end.
                        thread::yield_now();
                        ended.fetch_add(1, Ordering::SeqCst);
                    })
                    .flat_map(|task| children(task[0]))
                    .collect();
                let posts = next.iter().map(|task| batch(&[task])).collect();
                let posted = next.len() as u64;
                commit = Some(Commit { posts, posted, ..Commit::new(token) });
                token = Token::random();
            }
            Step::Empty(_) => {
                commit = None;
                if watches {
                    run.broker.watch(seen, patience).expect("the broker is watched");
                } else {
                    thread::yield_now();
                }
            }
            Step::Done if ended.load(Ordering::SeqCst) == all => return End::Last,
            Step::Done => return End::TooEarly,
            step @ (Step::Lost | Step::Conflict(_)) => panic!("a lease in time is not {step:?}"),
        }
    }
    End::Never
}

/// Many that commit and ask at once never find the end while a lease is out, and all find it then.
pub(super) fn many_find_the_end_together(make: Fresh<'_>) {
    const DEPTH: u8 = 40;
    const WORKERS: usize = 4;
    let all = tree(DEPTH);
    for round in 0..60 {
        let run = Run::new(make, [batch(&[&[DEPTH]])]);
        let ended = AtomicU64::new(0);
        let start = Barrier::new(WORKERS);
        let ends: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|_| run.another())
                .map(|run| {
                    let (ended, start) = (&ended, &start);
                    scope.spawn(move || {
                        start.wait();
                        work(&run, ended, all, round % 2 == 0)
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("a worker ends")).collect()
        });
        assert!(!ends.contains(&End::TooEarly), "the end is not found while a lease is out");
        assert!(!ends.contains(&End::Never), "the end is found by all, and in time");
        assert_eq!(ended.into_inner(), all, "each task is leased once");
        assert_eq!(run.outcome().posted, all - 1, "what all have committed adds up");
        let watched = run.look();
        assert_eq!((watched.waiting, watched.done), (0, true), "at the end nobody waits");
    }
}

/// Who has asked in vain counts as one until it has a lease, gives up or asks again.
pub(super) fn waiting_workers_are_counted(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"])]);
    let busy = run.take().token;
    let [first, spare, second, third] = [(); 4].map(|()| Token::random());
    assert_eq!(run.step(None, &[first, spare]), Step::Empty(1), "who asks in vain waits once");
    assert_eq!(run.step(None, &[first, spare]), Step::Empty(1), "who asks again waits once");
    assert_eq!(run.step(None, &[spare, first]), Step::Empty(1), "who asks again waits once");
    assert_eq!(run.step(None, &[second]), Step::Empty(2), "everyone that asks in vain waits");
    assert_eq!(run.step(None, &[]), Step::Empty(2), "who wants nothing does not wait");
    assert_eq!(run.step(None, &[third]), Step::Empty(3), "everyone that asks in vain waits");
    assert_eq!(run.look().waiting, 3, "who watches sees who waits");
    run.release(third, Release::Unstarted);
    assert_eq!(run.look().waiting, 2, "who gives up does not wait");

    let next = Token::random();
    let commit = Commit { posts: vec![batch(&[b"b"]), batch(&[b"c"])], ..Commit::new(busy) };
    let Step::Leased(_, waiting) = run.step(Some(&commit), &[next]) else {
        panic!("a commit takes its own posts in one step");
    };
    assert_eq!(waiting, 2, "a lease is told how many wait all the same");
    let Step::Leased(leases, 1) = run.step(None, &[second, first]) else {
        panic!("who has got a lease does not wait");
    };
    assert_eq!((leases.len(), leases[0].token), (1, second), "the first tokens get what there is");
    assert_eq!(run.look().waiting, 1, "who has got a lease does not wait");
    assert_eq!(run.step(None, &[spare, first]), Step::Empty(1), "who asks again waits once");
    run.commit(&Commit::new(next));
    assert_eq!(run.step(Some(&Commit::new(second)), &[first]), Step::Done, "then nothing is left");
    assert_eq!(run.look().waiting, 0, "at the end nobody waits");
}

/// Who watches is woken by a batch, a worker that waits, the lock and the end.
pub(super) fn who_watches_is_woken(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let [first, second] = [run.take().token, run.take().token];
    let [waits, next, holder, last] = [(); 4].map(|()| Token::random());
    let keep = |token| Some(Lease { token, batch: batch(&[b"b"]) });
    let stops_asking = Commit { successor: keep(next), ..Commit::new(second) };
    let hands_on = Commit { successor: keep(holder), ..Commit::new(first) };
    let lets_go = Commit { successor: keep(last), ..Commit::new(next) };
    let posts = Commit { posts: vec![batch(&[b"c"])], ..Commit::new(holder) };
    type Change<'a> = (&'a str, &'a dyn Fn());
    let changes: [Change<'_>; 10] = [
        ("a worker that waits", &|| _ = run.step(None, &[waits])),
        ("a worker that gives up", &|| run.release(waits, Release::Unstarted)),
        ("a lock that is taken", &|| _ = run.lock(first)),
        ("a lock that is asked for", &|| _ = run.lock(second)),
        ("a lock that is no longer asked for", &|| _ = run.commit(&stops_asking)),
        ("a lock that is asked for again", &|| _ = run.lock(next)),
        ("a lock that goes to another one", &|| _ = run.commit(&hands_on)),
        ("a lock that is free", &|| _ = run.commit(&lets_go)),
        ("a batch", &|| _ = run.commit(&posts)),
        ("the end", &|| _ = run.step(Some(&Commit::new(last)), &[])),
    ];
    let patience = patience(&run);
    let unchanged = run.look();
    assert_eq!(run.look(), unchanged, "a look changes nothing");
    let again = run.broker.watch(unchanged.seen, Duration::from_millis(1)).expect("a look");
    assert_eq!(again, unchanged, "without a change patience ends the watch");
    for (number, (what, change)) in changes.into_iter().enumerate() {
        if what == "the end" {
            run.commit(&Commit::new(run.take().token));
        }
        let seen = run.look().seen;
        let watcher = run.another().broker;
        let begins = Barrier::new(2);
        let woken = thread::scope(|scope| {
            let watches = scope.spawn(|| {
                begins.wait();
                let started = Instant::now();
                watcher.watch(seen, patience).map(|watched| (watched, started.elapsed()))
            });
            begins.wait();
            // Now before the watch begins, now in the midst of it.
            (0..20 * number).for_each(|_| thread::yield_now());
            change();
            watches.join().expect("it watches").expect("the broker is watched")
        });
        assert_ne!(woken.0.seen, seen, "{what} is a change");
        assert!(woken.1 < patience, "who watches is woken by {what}");
    }
    assert!(run.look().done, "who watches sees the end");
}

/// A lease that has expired is no end, whoever asks first, and comes back however many there are.
pub(super) fn an_expired_lease_is_no_end(make: Fresh<'_>) {
    const MANY: usize = 200;
    let run = Run::new(make, [batch(&[b"a", b"b"])]);
    run.take();
    run.outlast();
    assert_eq!(run.step(None, &[]), Step::Empty(0), "a lease that has just expired is no end");

    let run = Run::new(make, vec![batch(&[b"a"]); MANY]);
    (0..MANY).for_each(|_| _ = run.take());
    run.outlast();
    let mut back = 0;
    // A broker may notice some expired leases at a time.
    for _ in 0..2 * MANY {
        match run.ask() {
            Step::Leased(..) => back += 1,
            Step::Empty(_) => {}
            step => panic!("leases that have just expired are no end: {step:?}"),
        }
    }
    assert_eq!(back, MANY, "all leases that have expired come back");
}

/// What is given back is leased or queued at every moment: nobody finds the end in between.
pub(super) fn what_is_given_back_holds_the_end_open(make: Fresh<'_>) {
    // A task does not die of so many.
    let often = [
        (Release::Unstarted, 300),
        (Release::Interrupted, MOST_INTERRUPTIONS),
        (Release::Crashed, MOST_CRASHES),
    ];
    for (why, times) in often {
        for _ in 0..300 / times {
            let run = Run::new(make, [batch(&[b"a"])]);
            let ends = ends_during(&run, times, || {
                run.release(run.take().token, why);
            });
            assert!(!ends, "what is given back holds the end open at every moment");
        }
    }
}

/// A lease that expires is out or its batch is queued at every moment: nobody finds the end in between.
pub(super) fn what_expires_holds_the_end_open(make: Fresh<'_>) {
    for _ in 0..30 {
        let run = Run::new(make, [batch(&[b"a"])]);
        let ends = ends_during(&run, MOST_CRASHES, || {
            run.take();
            run.expire();
        });
        assert!(!ends, "what expires holds the end open at every moment");
    }
}

/// Who watches while a lease expires learns of it, at the latest when patience ends.
pub(super) fn who_watches_sees_what_expires(make: Fresh<'_>) {
    let mut patience = Duration::from_millis(30);
    // The watch has begun in most of these rounds before the lease expires.
    let mut rounds = 0;
    while rounds < 10 {
        match sees_what_expires(make, patience) {
            Some(sees) => {
                assert!(sees, "who watches sees what has expired");
                rounds += 1;
            }
            None => patience *= 2,
        }
    }
}

/// Whether who watches sees a lease that expires; none if it has expired too late for this patience.
fn sees_what_expires(make: Fresh<'_>, patience: Duration) -> Option<bool> {
    let run = Run::new(make, [batch(&[b"a"])]);
    run.take();
    let seen = run.look().seen;
    let watcher = run.another().broker;
    let begins = Barrier::new(2);
    let (watched, ends, expired) = thread::scope(|scope| {
        let watches = scope.spawn(|| {
            begins.wait();
            let ends = Instant::now() + patience;
            (watcher.watch(seen, patience).expect("the broker is watched"), ends)
        });
        begins.wait();
        (0..20).for_each(|_| thread::yield_now());
        run.outlast();
        let expired = Instant::now();
        let (watched, ends) = watches.join().expect("it watches");
        (watched, ends, expired)
    });
    (expired < ends).then_some((watched.queued, watched.done) == (1, false))
}
