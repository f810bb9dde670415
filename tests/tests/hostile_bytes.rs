//! What the fuzzers' targets check, without a fuzzer: the seeds, and thousands of mutations of them.
//!
//! `ci/fuzz` goes on from here with libFuzzer. `PRUNNER_WRITE_SEEDS=1` writes the files in `fuzz/seeds`
//! again, which are the same seeds.
#![cfg(unix)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs,
    panic::catch_unwind,
    path::PathBuf,
};

use prunner::__fuzz;
use prunner_tests::{random::Random, scale::times};

prunner_tests::watched!();

/// Remembers the largest allocation of each thread: tests run side by side, and one that fails may print
/// a backtrace, which takes megabytes.
struct Status;

thread_local! {
    // With a constant and nothing to drop it can be used wherever memory is allocated.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    LARGEST.with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Status {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as the caller has promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as the caller has promised.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Status = Status;

/// For inputs of some kilobytes: serde makes room for at most 1 MiB of what is claimed.
const MOST_ALLOCATED: usize = 4 << 20;

/// Inputs are not longer.
const MOST_INPUT: usize = 4096;

fn target(name: &str) -> fn(&[u8]) {
    match name {
        "frames" => __fuzz::frames,
        "conversation" => __fuzz::conversation,
        "broker" => __fuzz::broker,
        "entries" => __fuzz::entries,
        _ => panic!("there is no target {name}"),
    }
}

fn feed(name: &str, bytes: &[u8]) {
    LARGEST.set(0);
    let result = catch_unwind(|| target(name)(bytes));
    assert!(result.is_ok(), "{name} fails for {}", hex(bytes));
    let largest = LARGEST.get();
    assert!(largest <= MOST_ALLOCATED, "{name} allocates {largest} bytes for {}", hex(bytes));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn seeds_pass_and_so_do_mutations_of_them() {
    let seeds = __fuzz::seeds();
    seeds.iter().for_each(|(name, _, bytes)| feed(name, bytes));
    let mut random = Random::new(1);
    for _ in 0..times("PRUNNER_MUTATIONS", 3_000) {
        let (name, _, bytes) = &seeds[random.below(seeds.len() as u64) as usize];
        let mut bytes = bytes.clone();
        for _ in 0..=random.below(4) {
            let other = &seeds[random.below(seeds.len() as u64) as usize].2;
            mutate(&mut bytes, other, &mut random);
        }
        bytes.truncate(MOST_INPUT);
        feed(name, &bytes);
    }
}

/// What was found once stays found: each file in `fuzz/found` is named after its target.
#[test]
fn what_was_found_once_stays_mended() {
    let files = fs::read_dir(directory("found")).expect("there are such files");
    for file in files {
        let file = file.expect("it can be read");
        let name = file.file_name().into_string().expect("a plain name");
        let bytes = fs::read(file.path()).expect("it can be read");
        feed(name.split('-').next().expect("a target"), &bytes);
    }
}

#[test]
fn the_files_are_the_seeds() {
    for (target, name, bytes) in __fuzz::seeds() {
        let directory = directory("seeds").join(target);
        let file = directory.join(name);
        if std::env::var_os("PRUNNER_WRITE_SEEDS").is_some() {
            fs::create_dir_all(&directory).expect("it can be made");
            fs::write(&file, &bytes).expect("it can be written");
        }
        let there = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(there == bytes, "{}: run this test with PRUNNER_WRITE_SEEDS=1", file.display());
    }
}

fn directory(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(name)
}

/// Does to `bytes` one of the things that fuzzers do.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() as u64 + 1) as usize;
    let end = at + random.below((bytes.len() - at) as u64 + 1) as usize;
    let from = random.below(other.len() as u64 + 1) as usize;
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => bytes.extend_from_within(at..end),
        2 => drop(bytes.drain(at..end.min(at + 8))),
        3 => drop(bytes.splice(at..at, other[from..].iter().copied())),
        4 => drop(bytes.splice(at..at, huge(random))),
        5 => bytes.insert(at, random.draw() as u8),
        _ if at == bytes.len() => bytes.push(random.draw() as u8),
        6 => bytes[at] ^= 1 << random.below(8),
        _ => bytes[at] = random.draw() as u8,
    }
}

/// A number that claims too much.
fn huge(random: &mut Random) -> Vec<u8> {
    let power = random.below(4) as u8;
    let mut number = vec![251 + power];
    number
        .extend((0..2 << power).map(|_| if random.one_in(4) { random.draw() as u8 } else { 255 }));
    if random.one_in(2) {
        // Within the largest frame.
        number = [&[252], &(random.below(256 << 20) as u32).to_le_bytes()[..]].concat();
    }
    number
}
