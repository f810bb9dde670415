//! What tests use: the suite that every broker must pass.

#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(all(feature = "testing", unix, not(prunner_unsupported)))]
pub(crate) mod fuzz;
#[cfg(all(test, target_os = "linux", not(any(miri, prunner_loom))))]
#[allow(dead_code, unreachable_pub, reason = "the tests of other crates use more of it")]
pub(crate) mod watchdog;
