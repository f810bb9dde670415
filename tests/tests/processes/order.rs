//! Priorities and `Order::Fifo`, on one worker, where there is an order to be seen.

use std::{
    collections::VecDeque,
    thread,
    time::{Duration, Instant},
};

use prunner::{Append, Context, Error, Key, Labeled, Order, Priority, Runner, Sum};
use prunner_tests::{
    handler,
    travelling::{Handler, Travelling},
};
use serde::{Deserialize, Serialize};

use super::{Setting, start};

const SEEN: Key<Append<u64>> = Key::new("seen");

#[derive(Labeled, Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Number(u64);

handler!(Posts: Number, |&Number(n), cx| {
    match n {
        0 => cx.post_all((1..2000).map(Number)),
        _ => cx.merge(SEEN, Append::one(n)),
    }
    Ok(())
});

#[test]
fn oldest_first_is_the_order_in_which_a_handler_posts() -> Result<(), Error> {
    let program = Travelling::of(Posts, [Number(0)]);
    let report = start(Runner::new(program).workers(1).processes().order(Order::Fifo))?;
    let seen = report.dict().get(SEEN).map(|seen| seen.0);
    assert_eq!(seen, Some((1..2000).collect()));
    Ok(())
}

#[test]
fn oldest_first_is_the_order_in_which_begin_posts() -> Result<(), Error> {
    let program = Travelling::of(Posts, (1..2000).map(Number));
    let report = start(Runner::new(program).workers(1).processes().order(Order::Fifo))?;
    let seen = report.dict().get(SEEN).map(|seen| seen.0);
    assert_eq!(seen, Some((1..2000).collect()));
    Ok(())
}

#[derive(Labeled, Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Rank {
    Root,
    Of(u64),
}

handler!(Ranks: Rank, |&rank, cx| {
    match rank {
        Rank::Root => {
            for n in 0..50 {
                cx.post_with(Priority::Low, Rank::Of(2));
                cx.post(Rank::Of(1));
                if n % 2 == 0 {
                    cx.post_with(Priority::High, Rank::Of(0));
                }
            }
        }
        Rank::Of(n) => cx.merge(SEEN, Append::one(n)),
    }
    Ok(())
});

#[test]
fn all_of_a_higher_priority_run_first() -> Result<(), Error> {
    for order in [Order::Lifo, Order::Fifo] {
        let program = Travelling::of(Ranks, [Rank::Root]);
        let report = start(Runner::new(program).workers(1).processes().order(order))?;
        let expected = [vec![0; 25], vec![1; 50], vec![2; 50]].concat();
        assert_eq!(report.dict().get(SEEN).map(|seen| seen.0), Some(expected), "{order:?}");
    }
    Ok(())
}

/// What `begin` posts has priorities, too. The lowest number waits until nothing else is there.
#[test]
fn begin_posts_with_priorities() -> Result<(), Error> {
    for order in [Order::Lifo, Order::Fifo] {
        let program = Travelling::new(Ranks, |cx| {
            // While `begin` holds the lock nothing of it is published.
            let lock = cx.lock();
            for _ in 0..300 {
                cx.post_with(Priority::Low, Rank::Of(2));
                cx.post_with(Priority::High, Rank::Of(0));
                cx.post(Rank::Of(1));
            }
            drop(lock);
            Ok(())
        });
        let report = start(Runner::new(program).workers(1).processes().order(order))?;
        let expected = [vec![0; 300], vec![1; 300], vec![2; 300]].concat();
        assert_eq!(report.dict().get(SEEN).map(|seen| seen.0), Some(expected), "{order:?}");
    }
    Ok(())
}

/// A program whose first tasks are all posted before a worker gets any of them.
fn at_once<H: Handler>(
    handler: H,
    begin: impl Fn(&mut Context<'_, H::Task>) + Send + Sync + 'static,
) -> Travelling<H> {
    Travelling::new(handler, move |cx| {
        // While `begin` holds the lock nothing of it is published.
        let lock = cx.lock();
        begin(cx);
        drop(lock);
        Ok(())
    })
}

handler!(Breadth: Number, |&Number(n), cx| {
    cx.merge(SEEN, Append::one(n));
    if n < 2000 {
        cx.post(Number(n + 500));
    }
    Ok(())
});

#[test]
fn oldest_first_is_breadth_first() -> Result<(), Error> {
    let program = at_once(Breadth, |cx| cx.post_all((0..500).map(Number)));
    let report = start(Runner::new(program).workers(1).processes().order(Order::Fifo))?;
    let seen = report.dict().get(SEEN).map(|seen| seen.0);
    assert_eq!(seen, Some((0..2500).collect()));
    Ok(())
}

handler!(Families: Number, |&Number(n), cx| {
    if n < 500 {
        cx.post_all((1..4).map(|child| Number(1000 * child + n)));
    }
    cx.merge(SEEN, Append::one(n));
    Ok(())
});

#[test]
fn each_runs_once_from_whichever_end_it_is_taken() -> Result<(), Error> {
    for setting in Setting::all() {
        let report = setting.start(Travelling::of(Families, (0..500).map(Number)))?;
        let mut seen = report.dict().get(SEEN).unwrap_or_default().0;
        seen.sort_unstable();
        let expected = (0..4).flat_map(|child| (0..500).map(move |n| 1000 * child + n));
        assert!(seen.into_iter().eq(expected), "{setting:?}");
    }
    Ok(())
}

/// What the tasks do beside posting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Manner {
    Plain,
    /// So long that a lease is committed several times before it is through.
    Slow,
    Locks,
    /// Posts again after a flush.
    Flushes,
    /// Fails now and then after it has written under the lock.
    Fails,
}

impl Manner {
    const ALL: [Self; 5] = [Self::Plain, Self::Slow, Self::Locks, Self::Flushes, Self::Fails];
}

#[derive(Labeled, Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Layer {
    n: u64,
    manner: Manner,
}

const WRITTEN: Key<Sum<u64>> = Key::new("written");

/// How many there are in the end.
const LAYERS: u64 = 1500;

/// Those that `begin` posts.
const FIRST: u64 = 150;

fn priority(n: u64) -> Priority {
    match n % 7 {
        0 | 3 => Priority::Low,
        1 | 5 => Priority::High,
        _ => Priority::Normal,
    }
}

/// What a task posts, before and after it flushes, if it does.
fn follow_ups(n: u64) -> [Vec<u64>; 2] {
    // Each number once, from another one below it, of all priorities.
    let below = |i: u64| FIRST + (n * 3 + i) % (LAYERS - FIRST);
    let mine = |i: &u64| n < (LAYERS - FIRST) / 3 && below(*i) > n;
    [vec![0], vec![1, 2]].map(|is| is.iter().filter(|i| mine(i)).map(|&i| below(i)).collect())
}

fn fails(Layer { n, manner }: Layer) -> bool {
    manner == Manner::Fails && n % 50 == 49
}

handler!(Layers: Layer, |&layer, cx| {
    let Layer { n, manner } = layer;
    let post = |cx: &mut Context<'_, Layer>, numbers: &[u64]| {
        for &n in numbers {
            cx.post_with(priority(n), Layer { n, manner });
        }
    };
    let [first, second] = follow_ups(n);
    cx.merge(SEEN, Append::one(n));
    post(cx, &first);
    match manner {
        Manner::Plain => {}
        Manner::Slow => {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(400) {}
        }
        Manner::Locks | Manner::Fails => {
            let mut lock = cx.lock();
            lock.entry(WRITTEN).or_insert(Sum(0)).0 += 1;
        }
        Manner::Flushes if n % 3 == 0 => cx.flush(),
        Manner::Flushes => {}
    }
    post(cx, &second);
    if fails(layer) { Err("it fails".into()) } else { Ok(()) }
});

/// The order in which the numbers run if each takes its turn.
fn in_turn(manner: Manner) -> Vec<u64> {
    let mut lanes: [VecDeque<u64>; 3] = Default::default();
    (0..FIRST).for_each(|n| lanes[priority(n) as usize].push_back(n));
    let mut seen = Vec::new();
    while let Some(n) = lanes.iter_mut().find_map(VecDeque::pop_front) {
        if !fails(Layer { n, manner }) {
            seen.push(n);
            let posts = follow_ups(n).into_iter().flatten();
            posts.for_each(|n| lanes[priority(n) as usize].push_back(n));
        }
    }
    seen
}

#[test]
fn oldest_first_is_exact_on_one_worker() {
    for manner in Manner::ALL {
        let program = at_once(Layers, move |cx| {
            for n in 0..FIRST {
                cx.post_with(priority(n), Layer { n, manner });
            }
        });
        let run = Runner::new(program).workers(1).processes().order(Order::Fifo);
        let report = start(run.tolerate_dead(true)).expect("what is dead is tolerated");
        let seen = report.dict().get(SEEN).map(|seen| seen.0);
        let expected = in_turn(manner);
        assert!(expected.len() > 500, "{manner:?}: {} follow-ups are no test", expected.len());
        assert_eq!(seen, Some(expected), "{manner:?}");
    }
}

/// Also when a worker has to stop with a lease in hand that it would have gone on with.
#[test]
fn a_stopped_run_has_come_to_some_place_in_the_order() {
    let program = Travelling::new(Layers, |cx| {
        let lock = cx.lock();
        for n in 0..FIRST {
            cx.post_with(priority(n), Layer { n, manner: Manner::Slow });
        }
        drop(lock);
        cx.flush();
        // It fails as soon as a part is committed.
        while cx.get(SEEN).is_none() {
            thread::yield_now();
        }
        Err("it fails".into())
    });
    let run = start(Runner::new(program).workers(1).processes().order(Order::Fifo));
    let error = run.expect_err("begin has failed");
    let report = error.report().expect("it began");
    let seen = report.dict().get(SEEN).unwrap_or_default().0;
    assert_eq!(seen.len() as u64, report.ledger().finished);
    assert!(!seen.is_empty(), "a part was committed");
    assert!(in_turn(Manner::Slow).starts_with(&seen), "{seen:?}");
}
