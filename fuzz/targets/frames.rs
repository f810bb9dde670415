//! See `prunner/src/testing/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| prunner::__fuzz::frames(bytes));
