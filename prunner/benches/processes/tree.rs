//! CPU time and memory of a process together with its children.

use std::fs;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use crate::harness::clock::process_cpu;
use crate::harness::rounds::Sample;

/// CPU time of this process and of all its children that have ended, their children included.
pub(crate) fn cpu() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `usage` is a valid place for one rusage during the call.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    assert_eq!(failed, 0, "getrusage failed");
    // SAFETY: the call has filled it in.
    let usage = unsafe { usage.assume_init() };
    let time = |it: libc::timeval| Duration::new(it.tv_sec as u64, it.tv_usec as u32 * 1000);
    process_cpu() + time(usage.ru_utime) + time(usage.ru_stime)
}

/// Times `run`, which does `units` units of work, in ns a unit; the CPU time is that of the tree.
pub(crate) fn time(units: u64, run: impl FnOnce()) -> Sample {
    let (start, before) = (Instant::now(), cpu());
    run();
    let wall = start.elapsed().as_secs_f64();
    let cpu_wall = (cpu() - before).as_secs_f64() / wall;
    Sample { value: wall * 1e9 / units as f64, tail: None, cpu_wall }
}

/// Proportional set size in KiB: a page that several processes share counts in parts.
pub(crate) fn pss(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
