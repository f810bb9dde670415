//! The store buffer test ("Dekker") on real threads: what the engine asks of `membarrier(2)`.
//!
//! One side stores, does nothing that the processor notices, and loads; the other stores, calls
//! `membarrier(2)`, and loads. They may not both miss the other's store. The twin without the system
//! call must be caught missing both, else the test shows nothing.
#![cfg(target_os = "linux")]

use std::{
    hint::{black_box, spin_loop},
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        compiler_fence,
    },
    thread,
    time::{Duration, Instant},
};

prunner_tests::watched!();

/// A word on a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Line(AtomicU64);

/// Two stores, two loads, and what is needed to let both threads start a round together.
#[derive(Default)]
struct Table {
    x: Line,
    y: Line,
    light_saw: Line,
    round: Line,
    done: Line,
}

impl Table {
    /// The side that pays nothing, for as many rounds as the other side starts.
    fn light_side(&self) {
        for round in 1.. {
            let asked = wait_for(&self.round.0, round);
            if asked == u64::MAX {
                return;
            }
            self.x.0.store(round, Relaxed);
            compiler_fence(std::sync::atomic::Ordering::SeqCst);
            let saw = self.y.0.load(Relaxed);
            self.light_saw.0.store(saw, Relaxed);
            self.done.0.store(round, Release);
        }
    }

    /// Plays one round; true if both sides missed the other's store.
    fn both_missed(&self, round: u64, heavy: impl Fn()) -> bool {
        self.round.0.store(round, Release);
        // The other thread needs a moment to see that: let the two meet in the middle.
        for _ in 0..round % 64 {
            spin_loop();
        }
        self.y.0.store(round, Relaxed);
        heavy();
        let saw = self.x.0.load(Relaxed);
        wait_for(&self.done.0, round);
        saw < round && self.light_saw.0.load(Relaxed) < round
    }
}

/// Waits until the word has reached `value`; gives what it holds then.
fn wait_for(word: &AtomicU64, value: u64) -> u64 {
    let mut looks = 0_u32;
    loop {
        let now = word.load(Acquire);
        if now >= value {
            return now;
        }
        looks += 1;
        if looks.is_multiple_of(1000) { thread::yield_now() } else { spin_loop() }
    }
}

/// Plays until both sides missed once or `enough` says so; gives how often they did, in how many
/// rounds.
fn play(heavy: impl Fn(), mut enough: impl FnMut(u64) -> bool) -> (u64, u64) {
    let table = Table::default();
    thread::scope(|scope| {
        scope.spawn(|| table.light_side());
        let (mut missed, mut round) = (0, 0);
        while missed == 0 && !enough(round) {
            round += 1;
            missed += u64::from(table.both_missed(round, &heavy));
        }
        table.round.0.store(u64::MAX, Release);
        (missed, round)
    })
}

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier takes three integers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

#[test]
fn membarrier_on_one_side_is_enough() {
    if !membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) {
        eprintln!("no membarrier(2) here: the engine does not use it either");
        return;
    }
    let failed = AtomicU32::new(0);
    let heavy = || {
        if !membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
            failed.fetch_add(1, Relaxed);
        }
    };
    let (missed, rounds) = play(heavy, |round| round == 300_000);
    assert_eq!((missed, failed.into_inner()), (0, 0), "after {rounds} rounds");
}

/// Needs two processors; on one the threads never overlap.
#[test]
fn twin_without_a_barrier_is_caught() {
    if thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        eprintln!("one processor cannot show it");
        return;
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    let compiler_only = || compiler_fence(std::sync::atomic::Ordering::SeqCst);
    let (missed, rounds) = play(compiler_only, |_| black_box(Instant::now()) > deadline);
    assert_eq!(missed, 1, "both sides never missed in {rounds} rounds");
}
