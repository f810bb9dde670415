//! In which order tasks run: exactly on one worker, and the oldest first for a thief.

use prunner::{Context, Labeled, Order, Priority, Runner};
use prunner_tests::{gate::Gate, notes::Notes, program::program, setting::QUEUES};

prunner_tests::watched!();

#[derive(Labeled, Clone, Copy)]
struct Number(u64);

/// Runs what `begin` posts, and below each number what `follow` says, on one worker; returns the
/// numbers in the order in which they ran.
fn sequence(
    (order, membarrier): (Order, bool),
    begin: impl Fn(&mut Context<'_, Number>) + Sync,
    follow: impl Fn(u64, &mut Context<'_, Number>) + Sync,
) -> Vec<u64> {
    let ran = Notes::new();
    let numbers = program(
        |cx| {
            begin(cx);
            Ok(())
        },
        |&Number(n), cx| {
            ran.add(n);
            follow(n, cx);
            Ok(())
        },
    );
    let run = Runner::new(numbers).workers(1).order(order).membarrier(membarrier).start();
    run.expect("nothing fails");
    ran.take()
}

fn nothing(_: u64, _: &mut Context<'_, Number>) {}

/// Below 1 and 2 their doubles and one more, as in a heap.
fn heap(n: u64, cx: &mut Context<'_, Number>) {
    if n < 4 {
        cx.post(Number(2 * n));
        cx.post(Number(2 * n + 1));
    }
}

#[test]
fn fifo_runs_the_oldest_first() {
    for membarrier in QUEUES {
        let one_to_five = |cx: &mut Context<'_, Number>| cx.post_all((1..=5).map(Number));
        assert_eq!(sequence((Order::Fifo, membarrier), one_to_five, nothing), [1, 2, 3, 4, 5]);
        let root = |cx: &mut Context<'_, Number>| cx.post(Number(1));
        assert_eq!(sequence((Order::Fifo, membarrier), root, heap), [1, 2, 3, 4, 5, 6, 7]);
    }
}

#[test]
fn lifo_runs_the_newest_first() {
    for membarrier in QUEUES {
        let one_to_five = |cx: &mut Context<'_, Number>| cx.post_all((1..=5).map(Number));
        assert_eq!(sequence((Order::Lifo, membarrier), one_to_five, nothing), [5, 4, 3, 2, 1]);
        let root = |cx: &mut Context<'_, Number>| cx.post(Number(1));
        assert_eq!(sequence((Order::Lifo, membarrier), root, heap), [1, 3, 7, 6, 2, 5, 4]);
    }
}

#[test]
fn lifo_is_the_default() {
    assert_eq!(Order::default(), Order::Lifo);
}

#[test]
fn many_posts_at_once_keep_their_order() {
    const MANY: u64 = 10_000;
    let all = |cx: &mut Context<'_, Number>| cx.post(Number(0));
    let many = |n, cx: &mut Context<'_, Number>| {
        if n == 0 {
            cx.post_all((1..=MANY).map(Number));
        }
    };
    for membarrier in QUEUES {
        let fifo = sequence((Order::Fifo, membarrier), all, many);
        assert!(fifo.into_iter().eq(0..=MANY), "membarrier: {membarrier}");
        let lifo = sequence((Order::Lifo, membarrier), all, many);
        assert!(lifo[1..].iter().copied().eq((1..=MANY).rev()), "membarrier: {membarrier}");
    }
}

/// 10s are high, 20s normal, 30s low.
fn post_mixed(cx: &mut Context<'_, Number>) {
    for n in 1..=3 {
        cx.post_with(Priority::Low, Number(30 + n));
        cx.post_with(Priority::Normal, Number(20 + n));
        cx.post_with(Priority::High, Number(10 + n));
    }
}

#[test]
fn higher_priorities_run_first_whatever_the_order() {
    for membarrier in QUEUES {
        assert_eq!(
            sequence((Order::Fifo, membarrier), post_mixed, nothing),
            [11, 12, 13, 21, 22, 23, 31, 32, 33]
        );
        assert_eq!(
            sequence((Order::Lifo, membarrier), post_mixed, nothing),
            [13, 12, 11, 23, 22, 21, 33, 32, 31]
        );
    }
}

#[test]
fn an_urgent_follow_up_runs_before_all_that_waits() {
    let urgent = |n, cx: &mut Context<'_, Number>| match n {
        1..=3 => cx.post_with(Priority::High, Number(n + 10)),
        11..=13 => cx.post_with(Priority::Low, Number(n + 10)),
        _ => {}
    };
    let three = |cx: &mut Context<'_, Number>| cx.post_all((1..=3).map(Number));
    for membarrier in QUEUES {
        assert_eq!(
            sequence((Order::Fifo, membarrier), three, urgent),
            [1, 11, 2, 12, 3, 13, 21, 22, 23]
        );
        assert_eq!(
            sequence((Order::Lifo, membarrier), three, urgent),
            [3, 13, 2, 12, 1, 11, 21, 22, 23]
        );
    }
}

#[test]
fn a_flush_keeps_the_order() {
    let flushes = |n, cx: &mut Context<'_, Number>| {
        if n == 0 {
            cx.post_all([Number(1), Number(2)]);
            cx.flush();
            cx.post_all([Number(3), Number(4)]);
        }
    };
    let root = |cx: &mut Context<'_, Number>| cx.post(Number(0));
    for membarrier in QUEUES {
        assert_eq!(sequence((Order::Fifo, membarrier), root, flushes), [0, 1, 2, 3, 4]);
        assert_eq!(sequence((Order::Lifo, membarrier), root, flushes), [0, 4, 3, 2, 1]);
    }
}

/// One worker posts 1 to 9 of one priority and 11 to 19 of the other and waits; returns what the
/// thief runs first.
fn first_stolen((order, membarrier): (Order, bool), ones: Priority, tens: Priority) -> u64 {
    const POSTER: Number = Number(0);
    let (stolen, began) = (Notes::new(), Gate::new());
    let busy = program(
        |cx| {
            cx.post(POSTER);
            Ok(())
        },
        |&Number(n), cx| {
            if n > 0 {
                stolen.add(n);
                began.arrive();
                return Ok(());
            }
            (1..10).for_each(|n| cx.post_with(ones, Number(n)));
            (11..20).for_each(|n| cx.post_with(tens, Number(n)));
            cx.flush();
            began.wait_for(1);
            Ok(())
        },
    );
    let run = Runner::new(busy).workers(2).order(order).membarrier(membarrier).start();
    run.expect("nothing fails");
    stolen.take()[0]
}

/// A theft takes the older half. Of that the biased queue runs the oldest first, crossbeam's does not.
#[test]
fn a_thief_takes_the_oldest_of_the_highest_priority() {
    use Priority::{High, Low, Normal};
    for membarrier in QUEUES {
        for order in [Order::Lifo, Order::Fifo] {
            let first = |ones, tens| first_stolen((order, membarrier), ones, tens);
            assert!((1..=9).contains(&first(Normal, Normal)));
            assert!((11..=15).contains(&first(Normal, High)));
            assert!((1..=5).contains(&first(High, Normal)));
            assert!((11..=15).contains(&first(Low, Normal)));
        }
    }
}
