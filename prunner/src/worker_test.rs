//! Worker processes of test programs, whose `main` is the harness's.

/// The test that makes a worker of this test program, if it has one.
#[doc(hidden)]
#[derive(Debug)]
pub struct WorkerTest(pub &'static str);

inventory::collect!(WorkerTest);

/// Lets the tests of a crate start worker processes: call it once in the crate's tests, in any module,
/// with the types of all runners.
///
/// Under `cargo test` the program is the test harness, whose `main` does not call
/// [`worker_entry`](crate::worker_entry). This adds a test that does; workers are started with that test
/// alone. Run by the harness itself it does nothing.
///
/// ```
/// use prunner::{Context, Labeled, ParallelTaskRunner, TaskResult};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Labeled, Serialize, Deserialize)]
/// struct Step;
///
/// #[derive(Serialize, Deserialize)]
/// struct Program;
///
/// impl ParallelTaskRunner for Program {
///     type Task = Step;
///     fn begin(&self, cx: &mut Context<'_, Step>) -> TaskResult { cx.post(Step); Ok(()) }
///     fn run(&self, _: &Step, _: &mut Context<'_, Step>) -> TaskResult { Ok(()) }
/// }
///
/// prunner::worker_test!(Program);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! worker_test {
    ($($runner:ty),+ $(,)?) => {
        #[cfg(test)]
        #[test]
        fn prunner_worker() {
            $($crate::worker_entry::<$runner>();)+
        }
        #[cfg(test)]
        $crate::__private::inventory::submit! {
            $crate::__private::WorkerTest(concat!(module_path!(), "::prunner_worker"))
        }
    };
}

/// The name of the test that makes a worker of this program, as the harness calls it.
#[cfg_attr(any(not(unix), prunner_unsupported), expect(dead_code, reason = "for worker processes"))]
pub(crate) fn worker_test() -> Option<String> {
    let test = inventory::iter::<WorkerTest>.into_iter().next()?;
    // Without the crate.
    Some(test.0.split_once("::").map_or(test.0, |(_, path)| path).to_string())
}
