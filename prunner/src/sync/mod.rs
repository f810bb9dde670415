//! The one door to atomics, locks, threads and barriers.
//!
//! Everything that synchronises goes through here, so that a model checker can stand in: under
//! `--cfg prunner_loom` the same engine sources run on loom's types.

pub(crate) mod biased;

#[cfg(not(prunner_loom))]
pub(crate) use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence},
    thread::{self, Thread},
};

#[cfg(prunner_loom)]
pub(crate) use loom::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence},
    thread::{self, Thread},
};

/// A cell whose accesses a model checker can watch.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(
    #[cfg(not(prunner_loom))] std::cell::UnsafeCell<T>,
    #[cfg(prunner_loom)] loom::cell::UnsafeCell<T>,
);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        #[cfg(not(prunner_loom))]
        return Self(std::cell::UnsafeCell::new(value));
        #[cfg(prunner_loom)]
        return Self(loom::cell::UnsafeCell::new(value));
    }

    /// Lends the address of the value; the caller proves that nothing else has it meanwhile.
    #[inline(always)]
    pub(crate) fn with_mut<O>(&self, f: impl FnOnce(*mut T) -> O) -> O {
        #[cfg(not(prunner_loom))]
        return f(self.0.get());
        #[cfg(prunner_loom)]
        return self.0.with_mut(f);
    }
}

#[cfg(not(prunner_loom))]
pub(crate) use parking_lot::Mutex;

/// loom's mutex behind the interface of `parking_lot`.
#[cfg(prunner_loom)]
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(prunner_loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("loom aborts a model at its first panic")
    }
}

#[cfg(prunner_loom)]
impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// A busy-wait hint, which a model checker needs to see as a yield.
#[inline]
pub(crate) fn spin_loop() {
    #[cfg(not(prunner_loom))]
    std::hint::spin_loop();
    #[cfg(prunner_loom)]
    loom::thread::yield_now();
}

/// An asymmetric pair of barriers: [`light`](BarrierPair::light) on the path of every task, and
/// [`heavy`](BarrierPair::heavy) where somebody is about to steal or to sleep.
///
/// Whenever thread A does `store x; light; load y` and thread B does `store y; heavy; load x`, at
/// least one of the two loads sees the other's store.
pub(crate) trait BarrierPair: Copy + Send + Sync {
    /// The side that runs often.
    fn light(self);

    /// The side that runs seldom.
    fn heavy(self);
}

/// Which pair this machine offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// See [`Membarrier`].
    #[cfg_attr(prunner_loom, allow(dead_code))]
    Membarrier,
    /// Both sides are a sequentially consistent fence.
    Fence,
}

impl Barrier {
    /// The better pair that this machine offers, probed once for the process.
    pub(crate) fn detect() -> Self {
        if membarrier::registered() { Barrier::Membarrier } else { Barrier::Fence }
    }
}

impl BarrierPair for Barrier {
    #[inline(always)]
    fn light(self) {
        match self {
            Barrier::Membarrier => Membarrier.light(),
            Barrier::Fence => fence(Ordering::SeqCst),
        }
    }

    fn heavy(self) {
        match self {
            Barrier::Membarrier => Membarrier.heavy(),
            Barrier::Fence => fence(Ordering::SeqCst),
        }
    }
}

/// The pair that is free on the light side: heavy is `membarrier(2)`, with which the kernel runs a
/// full barrier on every running thread of the process; light only keeps the compiler in order.
///
/// To be used only where [`Barrier::detect`] has found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membarrier;

impl BarrierPair for Membarrier {
    #[inline(always)]
    fn light(self) {
        #[cfg(not(any(prunner_loom, miri)))]
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
        #[cfg(any(prunner_loom, miri))]
        fence(Ordering::SeqCst);
    }

    #[inline]
    fn heavy(self) {
        membarrier::on_all_threads();
    }
}

#[cfg(all(target_os = "linux", not(any(prunner_loom, miri))))]
mod membarrier {
    use std::sync::OnceLock;

    /// Whether the kernel has taken this process's registration: not on old kernels, not under
    /// some seccomp filters, not on gVisor.
    pub(super) fn registered() -> bool {
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        *REGISTERED.get_or_init(|| call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED).is_ok())
    }

    /// A full barrier on every running thread of this process.
    pub(super) fn on_all_threads() {
        call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
            .expect("membarrier cannot fail once the process is registered");
    }

    fn call(command: libc::c_int) -> std::io::Result<()> {
        // SAFETY: membarrier takes three integers and touches no memory of ours.
        match unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

/// Miri has no `membarrier`: fences on both sides stand for it, so that it runs the same engine.
#[cfg(miri)]
mod membarrier {
    use super::{Ordering, fence};

    pub(super) fn registered() -> bool {
        true
    }

    pub(super) fn on_all_threads() {
        fence(Ordering::SeqCst);
    }
}

#[cfg(not(any(miri, all(target_os = "linux", not(prunner_loom)))))]
mod membarrier {
    pub(super) fn registered() -> bool {
        false
    }

    pub(super) fn on_all_threads() {
        unreachable!("this platform never registers for membarrier")
    }
}
