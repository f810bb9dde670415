//! A lock whose owner pays no fence and no read-modify-write.
//!
//! One thread, the *owner*, enters all the time; others, *visitors*, seldom. The owner raises `own`
//! with a plain store and looks at `want`; a visitor raises `want`, runs the heavy barrier and waits
//! until `own` has fallen. A visitor that the owner has called is spared the barrier. The steps and the
//! hazards H1 to H3 and H11 are in `engine/threads/README.md`.

use std::{fmt, sync::Arc};

use crossbeam_utils::CachePadded;

use crate::sync::{
    AtomicBool, AtomicU8, Barrier, BarrierPair, Ordering, UnsafeCell, spin_loop, thread,
};

/// How often a thread looks again before it lets others run: the other side may be preempted.
const SPINS_BEFORE_YIELD: u32 = 100;

/// How often a visitor that only tries looks at `own` before it gives up; a model checker would try
/// them all.
const SPINS_BEFORE_BUSY: u32 = if cfg!(prunner_loom) { 2 } else { 200 };

struct Biased<T, B> {
    barrier: B,
    own: AtomicBool,
    value: UnsafeCell<T>,
    /// On a line of its own: visitors hammer it, the owner mostly reads it.
    want: CachePadded<AtomicU8>,
}

/// What `want` says: no visitor is inside or about to be,
const FREE: u8 = 0;
/// a visitor is, or
const VISITED: u8 = 1;
/// the next visitor may go in without a barrier, unless the owner takes that back.
const LENT: u8 = 2;

// SAFETY: `value` is reached only inside the critical section, which excludes all but one thread.
unsafe impl<T: Send, B: Sync> Sync for Biased<T, B> {}

/// Makes a lock around `value`: the handle of its owner and one that visitors share.
pub(crate) fn biased<T, B: BarrierPair>(barrier: B, value: T) -> (Owner<T, B>, Visitor<T, B>) {
    let lock = Arc::new(Biased {
        barrier,
        own: AtomicBool::new(false),
        value: UnsafeCell::new(value),
        want: CachePadded::new(AtomicU8::new(FREE)),
    });
    (Owner { lock: Arc::clone(&lock) }, Visitor { lock })
}

/// The owner's handle. There is one, and entering takes it by `&mut`: the owner is one thread at a
/// time and cannot enter twice.
pub(crate) struct Owner<T, B = Barrier> {
    lock: Arc<Biased<T, B>>,
}

impl<T, B: BarrierPair> Owner<T, B> {
    /// Runs `f` alone with the value.
    #[inline(always)]
    pub(crate) fn with<O>(&mut self, f: impl FnOnce(&mut T) -> O) -> O {
        self.lock.enter();
        let exit = OwnerExit(&self.lock.own);
        let out = self.lock.value.with_mut(|value| {
            // SAFETY: `enter` returned, so no visitor is inside, and `&mut self` is the only owner.
            f(unsafe { &mut *value })
        });
        drop(exit);
        out
    }

    /// Lets the next visitor in without a barrier, if it comes before the owner does: for one that the
    /// owner calls. Both settle with a compare-and-swap who was first (H11).
    pub(crate) fn lend(&mut self) {
        // Fails if a visitor has come by itself. The order includes Release: the visitor sees what the
        // owner did inside.
        let want = &self.lock.want;
        let _ = want.compare_exchange(FREE, LENT, Ordering::SeqCst, Ordering::Relaxed);
    }
}

/// Lowers `own`, also when the critical section panics (an allocation may fail).
struct OwnerExit<'a>(&'a AtomicBool);

impl Drop for OwnerExit<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: a visitor that sees `own` fallen also sees what was done under it.
        self.0.store(false, Ordering::Release);
    }
}

impl<T, B: BarrierPair> Biased<T, B> {
    #[inline(always)]
    fn enter(&self) {
        // Relaxed is enough: the light barrier orders this store before the load of `want` (H1).
        self.own.store(true, Ordering::Relaxed);
        self.barrier.light();
        // Acquire: what the last visitor did is seen by the owner.
        if self.want.load(Ordering::Acquire) != FREE {
            self.give_way();
        }
    }

    /// Takes back what was lent, or stands back while a visitor wants in. After each wait the whole of
    /// `enter` is done again: a second visitor may have raised `want` in the meantime (H2).
    #[cold]
    #[inline(never)]
    fn give_way(&self) {
        // If it is still lent, the owner is inside now. Not a plain store: a visitor may be faster (H11).
        let back = self.want.compare_exchange(LENT, FREE, Ordering::SeqCst, Ordering::Relaxed);
        if back.is_ok() {
            return;
        }
        visiting::refuse(std::ptr::from_ref(self).addr());
        loop {
            self.own.store(false, Ordering::Release);
            wait_while(|| self.want.load(Ordering::Acquire) == VISITED);
            self.own.store(true, Ordering::Relaxed);
            self.barrier.light();
            if self.want.load(Ordering::Acquire) == FREE {
                return;
            }
        }
    }
}

/// A handle for everybody else.
pub(crate) struct Visitor<T, B = Barrier> {
    lock: Arc<Biased<T, B>>,
}

impl<T, B: BarrierPair> Visitor<T, B> {
    /// Runs `f` alone with the value; `None` when another visitor is inside or the owner does not
    /// leave soon (it may be preempted).
    pub(crate) fn try_with<O>(&self, f: impl FnOnce(&mut T) -> O) -> Option<O> {
        let visit = Visit::try_begin(&self.lock)?;
        let mut looks = 0;
        while self.lock.own.load(Ordering::Acquire) {
            looks += 1;
            if looks == SPINS_BEFORE_BUSY {
                return None;
            }
            spin_loop();
        }
        Some(visit.run(f))
    }

    /// Runs `f` alone with the value, however long the owner and other visitors take.
    pub(crate) fn with<O>(&self, f: impl FnOnce(&mut T) -> O) -> O {
        let visit = loop {
            match Visit::try_begin(&self.lock) {
                Some(visit) => break visit,
                None => wait_while(|| self.lock.want.load(Ordering::Relaxed) == VISITED),
            }
        };
        wait_while(|| self.lock.own.load(Ordering::Acquire));
        visit.run(f)
    }
}

/// `want` is up and ours; it falls when this is dropped.
struct Visit<'a, T, B>(&'a Biased<T, B>);

impl<'a, T, B: BarrierPair> Visit<'a, T, B> {
    fn try_begin(lock: &'a Biased<T, B>) -> Option<Self> {
        // The load in front of the compare-and-swap spares the line when somebody is inside already.
        let now = lock.want.load(Ordering::Relaxed);
        if now == VISITED {
            return None;
        }
        // A compare-and-swap, not a store: it keeps visitors from each other (H3) and the owner from taking
        // back what it has lent. From what was seen, for without a barrier the lock must be lent now (H11).
        lock.want.compare_exchange(now, VISITED, Ordering::SeqCst, Ordering::Relaxed).ok()?;
        if now == FREE {
            lock.barrier.heavy();
        }
        Some(Self(lock))
    }

    /// Must be called after `own` has been seen down.
    fn run<O>(self, f: impl FnOnce(&mut T) -> O) -> O {
        let _visiting = visiting::begin(std::ptr::from_ref(self.0).addr());
        self.0.value.with_mut(|value| {
            // SAFETY: `want` is ours, so no other visitor is inside; `own` was seen down after the
            // heavy barrier, or after the owner had lent the lock, so the owner will see `want` before it
            // enters again.
            f(unsafe { &mut *value })
        })
    }
}

impl<T, B> Drop for Visit<'_, T, B> {
    fn drop(&mut self) {
        self.0.want.store(FREE, Ordering::Release);
    }
}

/// Which lock this thread visits, so that an owner that is called back from its own visit panics instead
/// of waiting for itself: a program's merge runs inside, and may call what it likes.
#[cfg(not(prunner_loom))]
mod visiting {
    use std::cell::Cell;

    thread_local! {
        static LOCK: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) struct Visiting(usize);

    impl Drop for Visiting {
        fn drop(&mut self) {
            LOCK.set(self.0);
        }
    }

    pub(super) fn begin(lock: usize) -> Visiting {
        Visiting(LOCK.replace(lock))
    }

    pub(super) fn refuse(lock: usize) {
        assert!(
            LOCK.get() != lock,
            "merge called inside another merge of the same worker, from a Merge, Clone or Drop"
        );
    }
}

/// loom's threads share one thread of the system.
#[cfg(prunner_loom)]
mod visiting {
    pub(super) fn begin(_: usize) {}
    pub(super) fn refuse(_: usize) {}
}

fn wait_while(held: impl Fn() -> bool) {
    let mut looks = 0;
    while held() {
        looks += 1;
        if looks < SPINS_BEFORE_YIELD {
            spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

impl<T, B> fmt::Debug for Owner<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}

impl<T, B> fmt::Debug for Visitor<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(prunner_loom)))]
mod tests {
    use super::*;

    /// Real threads on a plain number: Miri and ThreadSanitizer see a race.
    #[test]
    fn owner_and_visitors_take_turns() {
        const TIMES: u64 = if cfg!(miri) { 20 } else { 2000 };
        let (mut owner, visitor) = biased(Barrier::detect(), 0);
        let visits = std::thread::scope(|scope| {
            let visitors = [(); 2].map(|()| {
                scope.spawn(|| {
                    let visit = |_: &u64| visitor.try_with(|value| *value += 1).is_some();
                    let tried = (0..TIMES).filter(visit).count() as u64;
                    (0..TIMES).for_each(|_| visitor.with(|value| *value += 1));
                    tried + TIMES
                })
            });
            for time in 0..TIMES {
                if time.is_multiple_of(3) {
                    owner.lend();
                }
                owner.with(|value| *value += 1);
            }
            visitors.map(|it| it.join().expect("a visitor does not panic")).iter().sum::<u64>()
        });
        assert_eq!(owner.with(|value| *value), visits + TIMES);
    }
}
