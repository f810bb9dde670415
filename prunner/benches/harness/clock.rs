//! CPU time of the process and of the calling thread, and a spin of a given length.

use std::hint;
use std::time::{Duration, Instant};

/// User and system time of all threads of this process so far.
pub(crate) fn process_cpu() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// User and system time of the calling thread so far.
pub(crate) fn thread_cpu() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec during the call.
    let failed = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(failed, 0, "this system has no CPU clock {clock}");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Keeps the calling thread busy for `length` of wall time.
pub(crate) fn spin_for(length: Duration) {
    let start = Instant::now();
    while start.elapsed() < length {
        hint::spin_loop();
    }
}
