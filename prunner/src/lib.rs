// The first definition of a link counts: on a docs host these pages stand in for the files that the README
// names, as `docs` does for the links among them.
//! [guide]: crate::docs::guide
//! [guarantees]: crate::docs::guarantees
//! [differences]: crate::docs::guarantees#on-threads-and-on-worker-processes
//! [faults]: crate::docs::faults
//! [python]: crate::docs::coming_from_prunner_py
//! [performance]: crate::docs::performance
//! [design]: crate::docs::design
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// What only worker processes use.
#![cfg_attr(any(not(unix), prunner_unsupported), allow(dead_code, unused_imports))]

// The macros say `::prunner`, also in the tests of this crate.
#[cfg(test)]
extern crate self as prunner;

pub mod broker;
mod codec;
mod dict;
// The guide uses all features; a page in a test is code that is run.
#[cfg(any(all(doc, not(doctest)), all(doctest, feature = "ctrlc")))]
pub mod docs;
mod engine;
mod error;
mod failure;
mod handler;
mod message_loop;
#[cfg(all(unix, not(prunner_unsupported)))]
mod payload;
#[cfg_attr(any(not(unix), prunner_unsupported), path = "process/unsupported.rs")]
mod process;
mod queue;
mod report;
mod run;
mod settings;
mod stats;
mod sync;
mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod worker_test;

#[cfg(all(test, target_os = "linux", not(any(miri, prunner_loom))))]
use testing::watchdog;
#[cfg(all(test, target_os = "linux", not(any(miri, prunner_loom))))]
watched!();

pub use codec::Bytes;

pub use dict::{Append, Counter, Dict, Key, Max, Merge, Min, ScopeLock, Sum};
pub use error::Error;
pub use failure::{Failure, TaskError, TaskResult};
pub use handler::{Context, ParallelTaskRunner};
pub use message_loop::{MessageLoop, dict, flush, global_lock, merge, post_task, post_task_with};
pub use process::worker_entry;
/// ```
/// use prunner::Labeled;
///
/// #[derive(Labeled)]
/// enum Step { Fetch { url: String }, Save(u64) }
///
/// assert_eq!(Step::Fetch { url: "a.example".to_string() }.label(), "Fetch");
/// assert_eq!(Step::Save(7).label(), "Save");
/// ```
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
pub use queue::Order;
pub use report::{LabelReport, Ledger, Report};
pub use run::Runner;
pub use task::{Labeled, Priority, Task};

/// Types and traits that stand in signatures and that programs seldom name.
///
/// A function that posts whatever it is given names two of them:
///
/// ```
/// use prunner::signature::{TaskArgs, TaskFn};
/// use prunner::{MessageLoop, Runner, post_task};
///
/// fn post_twice<M, A: TaskArgs, F: TaskFn<M, A> + Copy>(function: F, args: A) {
///     post_task(function, args.clone());
///     post_task(function, args);
/// }
///
/// fn greet(name: String) {
///     println!("Hello, {name}.");
/// }
///
/// let begin = || post_twice(greet, "world".to_string());
/// let report = Runner::new(MessageLoop::new(begin, || ())).start()?;
/// assert_eq!(report.ledger().finished, 2);
/// # Ok::<(), prunner::Error>(())
/// ```
pub mod signature {
    #[doc(hidden)]
    pub use crate::{
        dict::{Entry, Value},
        message_loop::{
            Call, DictHandle,
            task_fn::{IntoTaskResult, LoopHook, State, StateType, TaskArgs, TaskFn},
        },
    };
}

/// What fuzzers run.
#[cfg(all(feature = "testing", unix, not(prunner_unsupported)))]
#[doc(hidden)]
pub mod __fuzz {
    pub use crate::testing::fuzz::{broker, conversation, entries, frames, seeds};
}

/// What the macros expand to.
#[doc(hidden)]
pub mod __private {
    pub use inventory;

    pub use crate::{message_loop::call::TaskEntry, worker_test::WorkerTest};

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
