//! Tasks that a run leaves, or a failed handler has posted, are dropped where they are: a long queue is
//! not held twice.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use prunner::{Labeled, Report};
use prunner_tests::{program::program, setting::Setting};

prunner_tests::watched!();

/// Counts what the program has allocated, and the most that it had since it was last asked.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does everything.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        MOST.fetch_max(now, Ordering::SeqCst);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TASKS: usize = 20_000;

/// A task that has a destructor, and a size that counts.
#[derive(Labeled)]
struct Heavy([Box<u64>; 4]);

fn heavy() -> Heavy {
    Heavy([0, 1, 2, 3].map(Box::new))
}

/// From here on, how much more there was at most.
fn start_measuring() -> usize {
    let now = NOW.load(Ordering::SeqCst);
    MOST.store(now, Ordering::SeqCst);
    now
}

#[track_caller]
fn assert_no_more_than(start: usize) {
    let more = MOST.load(Ordering::SeqCst) - start;
    let tasks = TASKS * size_of::<Heavy>();
    // Some: a queue that has become short may be moved to where less room is.
    assert!(more < tasks / 2, "{more} bytes more, where the tasks alone are {tasks}");
}

/// One test, because the allocator counts for the whole process.
#[test]
fn what_is_left_is_not_held_twice() {
    for setting in Setting::all(&[1]) {
        let full = AtomicUsize::new(0);
        let left = program(
            |cx| {
                cx.post_all((0..TASKS).map(|_| heavy()));
                full.store(start_measuring(), Ordering::SeqCst);
                Err("and now it fails".into())
            },
            |_: &Heavy, _| Ok(()),
        );
        let error = setting.runner(left).start().expect_err("begin fails");
        assert_no_more_than(full.load(Ordering::SeqCst));
        let ledger = error.report().map(Report::ledger).expect("there was a run");
        assert_eq!((ledger.posted, ledger.left), (TASKS as u64, TASKS as u64));

        let failed = program(
            |cx| {
                cx.post(heavy());
                Ok(())
            },
            |_: &Heavy, cx| {
                cx.post_all((0..TASKS).map(|_| heavy()));
                full.store(start_measuring(), Ordering::SeqCst);
                Err("and now it fails".into())
            },
        );
        let report = setting.runner(failed).tolerate_dead(true).start().expect("tolerated");
        assert_no_more_than(full.load(Ordering::SeqCst));
        assert_eq!((report.ledger().posted, report.ledger().dead), (1, 1));
    }
}
