//! The engine's own sources under loom, without a preemption bound: `ci/loom` runs them.
//!
//! Each protocol has a wrong twin here or in the explicit-state models, so that a check that cannot
//! fail is noticed.

use loom::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use super::{
    epochs::Epochs,
    parking::{Recheck, Sleepers},
    search::{Ground, search},
};
use crate::{
    engine::stop::Stop,
    sync::{Barrier, BarrierPair as _, Mutex, biased::biased},
};

/// Owner and visitor add to one plain number: a lost addition is a race, which loom reports. What the
/// owner lends, either it takes back or the visitor takes up.
fn owner_and_visitor(lends: bool, entries: usize) {
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
        (0..entries).for_each(|_| entry());
        let visitor = visits.join().expect("the visitor does not panic");
        visitor.with(|value| assert_eq!(*value, entries + 1));
    });
}

#[test]
fn biased_lock_excludes_owner_and_visitor() {
    owner_and_visitor(false, 2);
}

#[test]
fn biased_lock_excludes_owner_and_called_visitor() {
    owner_and_visitor(true, 2);
}

/// What the owner has lent is no way in while it is inside itself.
#[test]
fn biased_lock_takes_back_what_it_has_lent() {
    owner_and_visitor(true, 1);
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
            sleepers.unpark(sleeper);
        }
        worker.join().expect("the worker does not panic");
        assert!(!sleepers.wanted(), "the word counts nobody as asleep");
    });
}

/// A run in which one worker's queue is a shelf, and the others have nothing.
struct Field {
    epochs: Epochs,
    sleepers: Sleepers,
    stop: Stop,
    shelf: Shelf,
    /// How many were woken that have never been started.
    started: AtomicUsize,
}

impl Field {
    /// Worker 0 is busy, worker 1 searches, and others have never been started.
    fn new(workers: usize) -> Arc<Self> {
        let sleepers = Sleepers::new(workers);
        sleepers.take_sleeper().expect("worker 1 has never been started");
        Arc::new(Self {
            epochs: Epochs::new(workers),
            sleepers,
            stop: Stop::new(),
            shelf: Shelf::new(0),
            started: AtomicUsize::new(0),
        })
    }

    /// Worker 0 posts a task that it never comes back to.
    fn post(&self) {
        self.shelf.put();
        Barrier::Fence.light();
        if self.sleepers.wanted() && self.shelf.shows_work() {
            self.wake_one();
        }
    }

    fn wake_one(&self) {
        if let Some(sleeper) = self.sleepers.take_sleeper()
            && !self.sleepers.unpark(sleeper)
        {
            self.started.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Worker 1, with the engine's own search; returns whether it has found a task.
fn spawn_searcher(field: &Arc<Field>) -> thread::JoinHandle<bool> {
    let field = Arc::clone(field);
    thread::spawn(move || {
        field.sleepers.moved_in(1);
        searches(&field, 1)
    })
}

fn searches(field: &Arc<Field>, me: usize) -> bool {
    let mut searcher = Searcher { field: Arc::clone(field), me, found: false };
    search(&mut searcher);
    searcher.found
}

struct Searcher {
    field: Arc<Field>,
    me: usize,
    found: bool,
}

impl Ground for Searcher {
    const BARRIER: Barrier = Barrier::Fence;

    fn me(&self) -> usize {
        self.me
    }

    fn stop(&self) -> &Stop {
        &self.field.stop
    }

    fn epochs(&self) -> &Epochs {
        &self.field.epochs
    }

    fn sleepers(&self) -> &Sleepers {
        &self.field.sleepers
    }

    fn anybody_shows_work(&self) -> bool {
        self.field.shelf.shows_work()
    }

    /// The shelf is worker 0's.
    fn others_show_work(&self) -> bool {
        self.me != 0 && self.field.shelf.shows_work()
    }

    fn steal(&mut self) -> bool {
        self.field.epochs.set_busy(self.me);
        self.found = self.field.shelf.take();
        if !self.found {
            self.field.epochs.set_idle(self.me);
        }
        self.found
    }

    fn wake_one(&mut self) {
        self.field.wake_one();
    }
}

/// H7, with the engine's own way to sleep: the task of a poster that never comes back to it is taken. A
/// searcher that misses it sleeps for ever, which loom reports as a deadlock.
#[test]
fn a_searcher_that_falls_asleep_finds_a_late_post() {
    loom::model(|| {
        let field = Field::new(2);
        let searcher = spawn_searcher(&field);
        field.post();
        assert!(searcher.join().expect("the searcher does not panic"), "it found the task");
    });
}

/// Two workers turn idle at the same time: one of them sees the end and wakes the other.
#[test]
fn one_of_two_that_fall_asleep_sees_the_end() {
    loom::model(|| {
        let field = Field::new(2);
        field.epochs.set_busy(1);
        let other = {
            let field = Arc::clone(&field);
            thread::spawn(move || {
                field.sleepers.moved_in(1);
                field.epochs.set_idle(1);
                searches(&field, 1)
            })
        };
        field.sleepers.moved_in(0);
        field.epochs.set_idle(0);
        field.sleepers.begin_search();
        assert!(!searches(&field, 0) && !other.join().expect("the other does not panic"));
        assert!(!field.stop.is_going());
    });
}

/// Worker 0 stops the run and leaves, while worker 1 goes to sleep.
#[test]
fn a_searcher_that_falls_asleep_sees_the_stop() {
    loom::model(|| {
        let field = Field::new(2);
        let searcher = spawn_searcher(&field);
        field.stop.drain();
        field.sleepers.unpark_all();
        assert!(!searcher.join().expect("the searcher does not panic"));
    });
}

/// H8: two posts come while worker 1 searches, and it takes one of them. The other is not left behind:
/// somebody else is woken, by the poster or by the searcher.
#[test]
fn a_searcher_hands_over_what_it_leaves() {
    loom::model(|| {
        let field = Field::new(3);
        let searcher = spawn_searcher(&field);
        field.post();
        field.post();
        assert!(searcher.join().expect("the searcher does not panic"), "it found one");
        assert!(field.shelf.shows_work());
        assert_eq!(field.started.load(Ordering::Relaxed), 1, "the other task is stranded");
    });
}

/// Everybody who sleeps is woken when the run is over.
#[test]
fn the_end_wakes_all() {
    loom::model(|| {
        // Both are listed as asleep from the start.
        let sleepers = Arc::new(Sleepers::new(3));
        let sleeping = [1, 2].map(|worker| {
            let sleepers = Arc::clone(&sleepers);
            thread::spawn(move || {
                sleepers.moved_in(worker);
                sleepers.sleep(worker);
            })
        });
        sleepers.unpark_all();
        for sleeper in sleeping {
            sleeper.join().expect("a sleeper does not panic");
        }
    });
}
