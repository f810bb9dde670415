//! When a run is over, and who waits until then.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use super::*;

/// How long one watches who must be woken before.
const PATIENCE: Duration = Duration::from_secs(60);

/// No round of a case takes longer than this on any broker that works.
const IN_TIME: Duration = Duration::from_secs(20);

/// A run is over when nothing is queued and no lease is out, and it stays over.
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn done_when_nothing_is_left(make: Make<'_>) {
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
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn a_commit_takes_its_own_posts(make: Make<'_>) {
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
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn what_is_left_is_counted(make: Make<'_>) {
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
fn work(broker: &dyn Broker, ended: &AtomicU64, all: u64, watches: bool) -> End {
    let started = Instant::now();
    let mut commit: Option<Commit> = None;
    let mut token = Token::random();
    while started.elapsed() < IN_TIME {
        let seen = if watches { broker.watch(0, Duration::ZERO).expect("a look").seen } else { 0 };
        match broker.step(commit.as_ref(), &[token]).expect("the broker steps") {
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
                    broker.watch(seen, PATIENCE).expect("the broker is watched");
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
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn many_find_the_end_together(make: Make<'_>) {
    const DEPTH: u8 = 40;
    const WORKERS: usize = 4;
    let all = tree(DEPTH);
    for round in 0..60 {
        let run = Run::new(make, [batch(&[&[DEPTH]])]);
        let ended = AtomicU64::new(0);
        let start = Barrier::new(WORKERS);
        let ends: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|_| run.harness.broker())
                .map(|broker| {
                    let (ended, start) = (&ended, &start);
                    scope.spawn(move || {
                        start.wait();
                        work(&*broker, ended, all, round % 2 == 0)
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
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn waiting_workers_are_counted(make: Make<'_>) {
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
///
/// # Panics
///
/// When the broker breaks this rule.
pub fn who_watches_is_woken(make: Make<'_>) {
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let [first, second] = [run.take().token, run.take().token];
    let [waits, next, last] = [(); 3].map(|()| Token::random());
    let keep = |token| Some(Lease { token, batch: batch(&[b"b"]) });
    let stops_asking = Commit { successor: keep(next), ..Commit::new(second) };
    let lets_go = Commit { successor: keep(last), ..Commit::new(first) };
    let posts = Commit { posts: vec![batch(&[b"c"])], ..Commit::new(next) };
    type Change<'a> = (&'a str, &'a dyn Fn());
    let changes: [Change<'_>; 8] = [
        ("a worker that waits", &|| _ = run.step(None, &[waits])),
        ("a worker that gives up", &|| run.release(waits, Release::Unstarted)),
        ("a lock that is taken", &|| _ = run.lock(first)),
        ("a lock that is asked for", &|| _ = run.lock(second)),
        ("a lock that is no longer asked for", &|| _ = run.commit(&stops_asking)),
        ("a lock that is free", &|| _ = run.commit(&lets_go)),
        ("a batch", &|| _ = run.commit(&posts)),
        ("the end", &|| _ = run.step(Some(&Commit::new(last)), &[])),
    ];
    let unchanged = run.look();
    assert_eq!(run.look(), unchanged, "a look changes nothing");
    let again = run.broker.watch(unchanged.seen, Duration::from_millis(1)).expect("a look");
    assert_eq!(again, unchanged, "without a change patience ends the watch");
    for (what, change) in changes {
        if what == "the end" {
            run.commit(&Commit::new(run.take().token));
        }
        let seen = run.look().seen;
        let watcher = run.harness.broker();
        let woken = thread::scope(|scope| {
            let started = Instant::now();
            let watches = scope.spawn(move || {
                watcher.watch(seen, PATIENCE).map(|watched| (watched, started.elapsed()))
            });
            change();
            watches.join().expect("it watches").expect("the broker is watched")
        });
        assert_ne!(woken.0.seen, seen, "{what} is a change");
        assert!(woken.1 < IN_TIME, "who watches is woken by {what}");
    }
    assert!(run.look().done, "who watches sees the end");
}
