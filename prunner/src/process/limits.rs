//! What a worker process may use. It sets the limits on itself, so no other process can be hit by them.

use std::{io, time::Duration};

use crate::settings::Limits;

impl Limits {
    /// Limits the memory of this process. What asks for more gets none, and the process aborts.
    pub(super) fn limit_memory(&self) -> io::Result<()> {
        match self.memory {
            None => Ok(()),
            // Not the address space: threads and allocators reserve much that they never use.
            Some(bytes) => set(libc::RLIMIT_DATA, bytes),
        }
    }

    /// Lets this process use as much CPU time from now on as a lease may. The kernel counts in whole
    /// seconds.
    pub(super) fn renew_cpu(&self) -> io::Result<()> {
        let Some(cpu) = self.cpu else { return Ok(()) };
        let until = used_cpu()? + cpu;
        set(libc::RLIMIT_CPU, until.as_secs() + u64::from(until.subsec_nanos() > 0))
    }
}

/// The CPU time that this process has used.
fn used_cpu() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock writes into `time`, which lives.
    match unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) } {
        0 => Ok(Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
type Resource = libc::c_int;

/// Sets the soft limit; the hard one stays, so that it can be raised again.
fn set(resource: Resource, limit: u64) -> io::Result<()> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes into `now`, which lives.
    if unsafe { libc::getrlimit(resource, &mut now) } != 0 {
        return Err(io::Error::last_os_error());
    }
    now.rlim_cur = limit.min(now.rlim_max);
    // SAFETY: setrlimit reads `now`, which lives.
    match unsafe { libc::setrlimit(resource, &now) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit is for a lease: what was used before does not count.
    #[test]
    fn cpu_time_is_limited_from_now_on() {
        const SECONDS: u64 = 10_000_000;
        let limits = Limits { cpu: Some(Duration::from_secs(SECONDS)), ..Limits::default() };
        limits.renew_cpu().expect("it can be limited");
        let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: getrlimit writes into `now`, which lives.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_CPU, &mut now) }, 0);
        assert!(now.rlim_cur > SECONDS, "{} s, and some were used before", now.rlim_cur);
        let used = used_cpu().expect("it is counted").as_secs();
        assert!(now.rlim_cur <= SECONDS + used + 1, "{} s", now.rlim_cur);
    }
}
