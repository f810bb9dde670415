//! Priorities and `Order::Fifo`, on one worker, where there is an order to be seen.

use prunner::{Append, Error, Key, Labeled, Order, Priority, Runner};
use prunner_tests::{handler, travelling::Travelling};
use serde::{Deserialize, Serialize};

use super::start;

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
