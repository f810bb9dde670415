//! What the suite leaves to each broker: in which order its batches are leased.

use super::*;
use crate::{
    Priority,
    broker::{Lease, Tasks},
};

const LEASE: Duration = Duration::from_secs(30);

fn batch(task: &[u8]) -> Batch {
    Batch { tasks: Tasks::one(task), ..Batch::default() }
}

fn broker(order: Order, first: &[&[u8]]) -> MemoryBroker {
    MemoryBroker::new(LEASE, order, first.iter().map(|task| batch(task)).collect())
}

fn lease(broker: &MemoryBroker) -> Lease {
    match broker.step(None, &[Token::random()]) {
        Ok(Step::Leased(mut leases, _)) => leases.remove(0),
        other => panic!("{other:?} instead of a lease"),
    }
}

/// The first task of each batch, in the order in which they are leased.
fn drain(broker: &MemoryBroker) -> Vec<u8> {
    let mut tasks = Vec::new();
    while broker.watch(0, Duration::ZERO).expect("it is in memory").queued > 0 {
        tasks.push(lease(broker).batch.tasks.iter().next().unwrap().unwrap()[0]);
    }
    tasks
}

#[test]
fn the_order_holds_among_first_batches_and_posts() {
    for (order, expected) in [(Order::Lifo, b"edba"), (Order::Fifo, b"bcde")] {
        let broker = broker(order, &[b"a", b"b", b"c"]);
        let mut commit = Commit::new(lease(&broker).token);
        commit.posts = vec![batch(b"d"), batch(b"e")];
        broker.step(Some(&commit), &[]).unwrap();
        assert_eq!(drain(&broker), expected, "{order:?}");
    }
}

#[test]
fn what_was_not_started_is_next_and_what_crashed_is_last() {
    for order in [Order::Lifo, Order::Fifo] {
        let broker = broker(order, &[b"a", b"b", b"c", b"d"]);
        let [crashed, kept] = [lease(&broker), lease(&broker)];
        let name = |lease: &Lease| lease.batch.tasks.iter().next().unwrap().unwrap()[0];
        broker.release(kept.token, Release::Unstarted).unwrap();
        broker.release(crashed.token, Release::Crashed).unwrap();
        let drained = drain(&broker);
        assert_eq!(drained.len(), 4, "{order:?}");
        assert_eq!((drained[0], drained[3]), (name(&kept), name(&crashed)), "{order:?}");
    }
}

#[test]
fn what_crashed_is_before_lower_priorities() {
    let low = Batch { priority: Priority::Low, ..batch(b"l") };
    let broker = MemoryBroker::new(LEASE, Order::Lifo, vec![low, batch(b"n")]);
    broker.release(lease(&broker).token, Release::Crashed).unwrap();
    assert_eq!(drain(&broker), b"nl");
}

#[test]
fn leases_that_last_for_ever_do() {
    let broker = MemoryBroker::new(Duration::MAX, Order::Lifo, vec![batch(b"a")]);
    let token = lease(&broker).token;
    assert_eq!(broker.renew(&[token]).unwrap(), []);
    assert!(!broker.watch(1, Duration::ZERO).unwrap().done);
}

#[test]
fn who_watches_is_woken_when_a_lease_expires() {
    let patience = Duration::from_secs(60);
    let started = Instant::now();
    let broker = MemoryBroker::new(Duration::from_millis(5), Order::Lifo, vec![batch(b"a")]);
    lease(&broker);
    let seen = broker.watch(0, Duration::ZERO).unwrap().seen;
    while broker.outcome().unwrap().returned == 0 {
        broker.watch(seen, patience).unwrap();
    }
    assert!(started.elapsed() < patience, "it was noticed before patience was over");
}

/// A clock at 0 until it is set.
#[derive(Default)]
struct Set(Mutex<Duration>);

impl Clock for Set {
    fn now(&self) -> Duration {
        *self.0.lock()
    }
}

#[test]
fn leases_that_expire_together_come_back_in_the_order_they_were_taken() {
    for (order, expected) in [(Order::Lifo, b"dcba"), (Order::Fifo, b"abcd")] {
        let clock = Arc::new(Set::default());
        let broker = broker(order, &[b"a", b"b", b"c", b"d"]).with_clock(clock.clone());
        assert_eq!(drain(&broker), expected, "{order:?}");
        *clock.0.lock() = LEASE;
        assert_eq!(drain(&broker), expected, "{order:?}");
    }
}

/// Or a few bytes would be answered with many times the dict.
#[test]
fn a_conflict_tells_each_entry_once() {
    use crate::broker::Write;
    let broker = broker(Order::Lifo, &[b"a"]);
    let stale = Write { key: "k".into(), version: 7, value: None };
    let commit = Commit { writes: vec![stale; 1000], ..Commit::new(lease(&broker).token) };
    let Ok(Step::Conflict(conflict)) = broker.step(Some(&commit), &[]) else {
        panic!("it is stale")
    };
    assert_eq!(conflict.entries.len(), 1);
}
