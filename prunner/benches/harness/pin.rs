//! `--pin`: worker `i` stays on CPU `i`, counted round the CPUs that the process may use.
//!
//! A thread inherits the mask of the thread that starts it. The main thread is therefore pinned
//! only where it is the one worker; otherwise a lazily started second worker would begin its life
//! on the CPU of the first.

#[cfg(target_os = "linux")]
mod affinity {
    use std::mem;
    use std::sync::OnceLock;

    static ALLOWED: OnceLock<libc::cpu_set_t> = OnceLock::new();

    /// The mask that the process was started with.
    fn allowed() -> &'static libc::cpu_set_t {
        ALLOWED.get_or_init(|| {
            let mut set = empty();
            // SAFETY: `set` is a valid mask of the size given, and 0 names the calling thread.
            let failed =
                unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
            assert_eq!(failed, 0, "sched_getaffinity failed");
            set
        })
    }

    fn empty() -> libc::cpu_set_t {
        // SAFETY: a CPU mask is plain integers, for which all zeroes is a value.
        unsafe { mem::zeroed() }
    }

    fn contains(set: &libc::cpu_set_t, cpu: usize) -> bool {
        // SAFETY: the callers stay below CPU_SETSIZE.
        unsafe { libc::CPU_ISSET(cpu, set) }
    }

    fn apply(set: &libc::cpu_set_t) {
        // SAFETY: `set` is a valid mask of the size given, and 0 names the calling thread.
        let failed = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set) };
        assert_eq!(failed, 0, "sched_setaffinity failed");
    }

    pub(crate) fn to_worker(index: usize) {
        let allowed = allowed();
        let cpus: Vec<usize> =
            (0..libc::CPU_SETSIZE as usize).filter(|&cpu| contains(allowed, cpu)).collect();
        let mut set = empty();
        // SAFETY: the CPU was found in a mask of the same size.
        unsafe { libc::CPU_SET(cpus[index % cpus.len()], &mut set) };
        apply(&set);
    }

    pub(crate) fn to_any() {
        apply(allowed());
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    pub(crate) fn to_worker(_index: usize) {}
    pub(crate) fn to_any() {}
}

pub(crate) use affinity::to_worker;

/// Prepares the main thread for measurements with `workers` workers.
pub(crate) fn main_thread(workers: usize) {
    if workers == 1 { to_worker(0) } else { affinity::to_any() }
}
