//! The engine's own sources under loom, without a preemption bound: `ci/loom` runs them.
//!
//! Each protocol has a wrong twin here or in the explicit-state models, so that a check that cannot
//! fail is noticed.

use loom::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use super::{biased::biased, idle::Epochs, wake::Recheck, wake::Sleepers};
use crate::sync::{Barrier, BarrierPair as _, Mutex};

/// Owner and visitor add to one plain number: a lost addition is a race, which loom reports. What the
/// owner lends, either it takes back or the visitor takes up.
fn owner_and_visitor(lends: bool) {
    loom::model(move || {
        let (mut owner, visitor) = biased(Barrier::Fence, 0);
        let mut entry = || {
            if lends {
                owner.lend();
            }
            owner.with(|value| *value += 1);
        };
        let visits = thread::spawn(move || {
            visitor.with(|value| *value += 1);
            visitor
        });
        entry();
        entry();
        let visitor = visits.join().expect("the visitor does not panic");
        visitor.with(|value| assert_eq!(*value, 3));
    });
}

#[test]
fn biased_lock_excludes_owner_and_visitor() {
    owner_and_visitor(false);
}

#[test]
fn biased_lock_excludes_owner_and_called_visitor() {
    owner_and_visitor(true);
}

fn two_visitors(lends: bool) {
    loom::model(move || {
        let (mut owner, visitor) = biased(Barrier::Fence, 0);
        if lends {
            owner.lend();
        }
        let visitor = Arc::new(visitor);
        let other = {
            let visitor = Arc::clone(&visitor);
            thread::spawn(move || visitor.try_with(|value| *value += 1).is_some())
        };
        let mine = visitor.try_with(|value| *value += 1).is_some();
        let other = other.join().expect("the other visitor does not panic");
        owner.with(|value| assert_eq!(*value, u8::from(mine) + u8::from(other)));
    });
}

#[test]
fn biased_lock_excludes_two_visitors() {
    two_visitors(false);
}

#[test]
fn biased_lock_is_lent_to_one_of_two_visitors() {
    two_visitors(true);
}

/// A queue of anonymous tasks behind a lock, and the flag that shows it.
struct Shelf {
    tasks: Mutex<usize>,
    visible: AtomicBool,
}

impl Shelf {
    fn new(tasks: usize) -> Self {
        Self { tasks: Mutex::new(tasks), visible: AtomicBool::new(tasks > 0) }
    }

    fn shows_work(&self) -> bool {
        self.visible.load(Ordering::Acquire)
    }

    fn put(&self) {
        let mut tasks = self.tasks.lock();
        *tasks += 1;
        self.visible.store(true, Ordering::Release);
    }

    fn take(&self) -> bool {
        let mut tasks = self.tasks.lock();
        let some = *tasks > 0;
        *tasks -= usize::from(some);
        self.visible.store(*tasks > 0, Ordering::Release);
        some
    }
}

/// Two workers: worker 0 has one task, which posts another; worker 1 may steal either. Nobody may see
/// the end before both have run.
#[test]
fn the_end_is_never_seen_early() {
    loom::model(|| {
        let epochs = Arc::new(Epochs::new(2));
        let shelves = Arc::new([Shelf::new(1), Shelf::new(0)]);
        let ran = Arc::new(AtomicUsize::new(0));
        let worker = |me: usize| {
            let (epochs, shelves, ran) =
                (Arc::clone(&epochs), Arc::clone(&shelves), Arc::clone(&ran));
            move || work(me, &epochs, &shelves, &ran)
        };
        let thief = thread::spawn(worker(1));
        worker(0)();
        thief.join().expect("the thief does not panic");
    });
}

/// The steps 4 to 6 of one worker, bounded: a model needs an end.
fn work(me: usize, epochs: &Epochs, shelves: &[Shelf; 2], ran: &AtomicUsize) {
    let run = || {
        if ran.fetch_add(1, Ordering::Relaxed) == 0 {
            shelves[me].put();
        }
    };
    if me == 0 {
        while shelves[me].take() {
            run();
        }
        epochs.set_idle(me);
    } else if shelves[0].shows_work() {
        epochs.set_busy(me);
        if shelves[0].take() {
            run();
            // At most one follow-up, which nobody else has to take.
            if shelves[me].take() {
                run();
            }
        }
        epochs.set_idle(me);
    }
    if epochs.quiescent(|| shelves.iter().all(|shelf| !shelf.shows_work())) {
        assert_eq!(ran.load(Ordering::Relaxed), 2, "the end was seen with a task outstanding");
    }
}

/// One poster, who never looks at its own queue again, and one worker that may be about to sleep: the
/// task must be taken. A lost wake-up is a deadlock, which loom reports.
#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let sleepers = Arc::new(Sleepers::new(2));
        let shelf = Arc::new(Shelf::new(0));
        // Worker 1 runs already and searches.
        sleepers.take_sleeper().expect("worker 1 has never been started");
        let worker = {
            let (sleepers, shelf) = (Arc::clone(&sleepers), Arc::clone(&shelf));
            thread::spawn(move || {
                sleepers.moved_in(1);
                while !shelf.shows_work() {
                    let stay = || {
                        Barrier::Fence.heavy();
                        shelf.shows_work()
                    };
                    if sleepers.register(1, stay) == Recheck::Sleep {
                        sleepers.sleep(1);
                    }
                }
                assert!(shelf.take(), "nobody else takes");
                sleepers.end_search();
            })
        };
        shelf.put();
        Barrier::Fence.light();
        if sleepers.wanted()
            && let Some(sleeper) = sleepers.take_sleeper()
        {
            sleepers.rouse(sleeper);
        }
        worker.join().expect("the worker does not panic");
        assert!(!sleepers.wanted(), "the word counts nobody as asleep");
    });
}
