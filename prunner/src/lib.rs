#![doc = include_str!("../../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// What only worker processes use.
#![cfg_attr(any(not(unix), prunner_elsewhere), allow(dead_code, unused_imports))]

// The macros say `::prunner`, also in the tests of this crate.
#[cfg(test)]
extern crate self as prunner;

pub mod broker;
mod call;
mod codec;
mod context;
mod dict;
mod effects;
mod engine;
mod error;
mod failure;
#[cfg(all(feature = "testing", unix, not(prunner_elsewhere)))]
mod fuzz;
#[cfg(all(unix, not(prunner_elsewhere)))]
mod lease;
mod message_loop;
#[cfg_attr(any(not(unix), prunner_elsewhere), path = "process/elsewhere.rs")]
mod process;
mod registry;
mod report;
mod run;
mod runner;
#[cfg(feature = "ctrlc")]
mod signal;
mod sync;
mod task;
mod task_fn;
mod text;
mod worker_test;

pub use call::Call;
pub use codec::Bytes;
pub use context::Context;
pub use dict::{Append, Counter, Dict, Entry, Key, Max, Merge, Min, ScopeLock, Sum, Value};
pub use engine::queue::Order;
pub use error::Error;
pub use failure::Failure;
pub use message_loop::{
    DictHandle, MessageLoop, dict, flush, global_lock, merge, post_task, post_task_with,
};
pub use process::worker_entry;
pub use prunner_macros::Labeled;
/// ```
/// use prunner::{MessageLoop, Runner, post_task, task};
///
/// #[task]
/// fn greet(name: String) {
///     println!("Hello, {name}.");
/// }
///
/// struct Job { times: u64 }
///
/// #[task]
/// impl Job {
///     fn begin(&self) {
///         post_task(Job::repeat, "world".to_string());
///     }
///
///     #[task]
///     fn repeat(&self, name: String) {
///         (0..self.times).for_each(|_| post_task(greet, name.clone()));
///     }
/// }
///
/// Runner::new(MessageLoop::new(Job::begin, || ()).with_state(Job { times: 2 })).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
pub use prunner_macros::task;
pub use report::{LabelReport, Ledger, Report};
pub use run::Runner;
pub use runner::{ParallelTaskRunner, TaskError, TaskResult};
pub use task::{Labeled, Priority, Task};
pub use task_fn::{IntoTaskResult, LoopHook, State, StateType, TaskArgs, TaskFn};

/// The code blocks of the documentation are tests.
#[cfg(all(doctest, feature = "ctrlc"))]
mod documentation {
    #[doc = include_str!("../../docs/guide.md")]
    struct Guide;
    #[doc = include_str!("../../docs/guarantees.md")]
    struct Guarantees;
    #[doc = include_str!("../../docs/coming-from-prunner-py.md")]
    struct ComingFromPrunnerPy;
}

/// What fuzzers run.
#[cfg(all(feature = "testing", unix, not(prunner_elsewhere)))]
#[doc(hidden)]
pub mod __fuzz {
    pub use crate::fuzz::{broker, conversation, entries, frames, seeds};
}

/// What the macros expand to.
#[doc(hidden)]
pub mod __private {
    pub use inventory;

    pub use crate::{call::Entry, worker_test::WorkerTest};

    /// Writes a value that may be `Debug`, by the trick of two methods with one name: the one that
    /// needs fewer references wins where its bound holds.
    pub struct MaybeDebug<'a, T: ?Sized>(pub &'a T);

    /// For values that are `Debug`.
    pub trait IsDebug<'a> {
        /// The value, to be shown.
        fn shown(&self) -> &'a dyn std::fmt::Debug;
    }

    impl<'a, T: std::fmt::Debug> IsDebug<'a> for MaybeDebug<'a, T> {
        fn shown(&self) -> &'a dyn std::fmt::Debug {
            self.0
        }
    }

    /// For all other values.
    pub trait IsNotDebug {
        /// A placeholder.
        fn shown(&self) -> &'static dyn std::fmt::Debug;
    }

    impl<T: ?Sized> IsNotDebug for &MaybeDebug<'_, T> {
        fn shown(&self) -> &'static dyn std::fmt::Debug {
            struct Unknown;
            impl std::fmt::Debug for Unknown {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("_")
                }
            }
            &Unknown
        }
    }
}
