//! Threads that act on one run at the same time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Barrier, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::*;

/// How long a member waits for a change before it looks whether another one has failed.
const PATIENCE: Duration = Duration::from_millis(50);

/// One of the threads, with a connection of its own.
pub(super) struct Member<'a> {
    pub(super) run: Run,
    pub(super) number: u32,
    failed: &'a AtomicBool,
}

impl Member<'_> {
    /// Waits for a change since `seen`.
    ///
    /// # Panics
    ///
    /// When another member has failed: it holds what this one waits for, perhaps for ever.
    pub(super) fn wait(&self, seen: u64) {
        self.run.broker.watch(seen, PATIENCE).expect("the broker is watched");
        assert!(!self.failed.load(Ordering::SeqCst), "another thread has failed");
    }

    /// Asks until the lease holds the lock.
    pub(super) fn wait_for_the_lock(&self, token: Token) {
        loop {
            let seen = self.run.look().seen;
            match self.run.lock(token) {
                Lock::Held => return,
                Lock::Busy => self.wait(seen),
                Lock::Lost => panic!("a lease in time is not lost"),
            }
        }
    }
}

/// Does `act` on so many threads that begin together. If some panic, it panics with what the first one
/// has said.
pub(super) fn together<T: Send>(
    run: &Run,
    threads: u32,
    act: impl Fn(&Member<'_>) -> T + Sync,
) -> Vec<T> {
    let start = Barrier::new(threads as usize);
    let failed = AtomicBool::new(false);
    let first_words = Mutex::new(None);
    let act = |member: Member<'_>| {
        start.wait();
        let acted = catch_unwind(AssertUnwindSafe(|| act(&member)));
        acted.map_err(|panic| {
            // Before the others learn of it: what they say then is no reason.
            first_words.lock().expect("nothing panics here").get_or_insert(panic);
            failed.store(true, Ordering::SeqCst);
        })
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|number| Member { run: run.another(), number, failed: &failed })
            .map(|member| scope.spawn(|| act(member)))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("panics are caught")).collect()
    });
    if let Some(panic) = first_words.into_inner().expect("nothing panics here") {
        resume_unwind(panic);
    }
    answers.into_iter().flatten().collect()
}

/// Whether somebody finds the end while `act` is done so many times.
pub(super) fn ends_during(run: &Run, times: u32, act: impl Fn()) -> bool {
    /// Ends the looks, also when `act` panics.
    struct Stop<'a>(&'a AtomicBool);

    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    const LOOKERS: usize = 2;
    let start = Barrier::new(LOOKERS + 1);
    let stopped = AtomicBool::new(false);
    let found = AtomicBool::new(false);
    thread::scope(|scope| {
        for looker in (0..LOOKERS).map(|_| run.another()) {
            let (start, stopped, found) = (&start, &stopped, &found);
            scope.spawn(move || {
                start.wait();
                while !stopped.load(Ordering::SeqCst) {
                    if looker.step(None, &[]) == Step::Done {
                        found.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
        let _stop = Stop(&stopped);
        start.wait();
        (0..times).take_while(|_| !found.load(Ordering::SeqCst)).for_each(|_| act());
    });
    found.into_inner()
}
