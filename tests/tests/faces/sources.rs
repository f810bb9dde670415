//! The errors of `begin` and `end` come out of the run as they are.

use std::{error::Error as _, io};

use prunner::{MessageLoop, TaskResult};

use super::Engine;

fn fails() -> TaskResult {
    Err(io::Error::new(io::ErrorKind::NotConnected, "the cable is out"))?
}

fn nothing() -> TaskResult {
    Ok(())
}

#[test]
fn what_begin_or_end_returned_can_be_downcast() {
    for engine in Engine::all() {
        for (begin, end) in [(fails as fn() -> _, nothing as fn() -> _), (nothing, fails)] {
            let error = engine.start(MessageLoop::new(begin, end)).expect_err("one of them fails");
            assert!(error.is_begin() || error.is_end(), "{error}");
            assert!(error.to_string().ends_with(": the cable is out"), "{error}");
            let source = error.source().and_then(|it| it.downcast_ref::<io::Error>());
            assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotConnected));
        }
    }
}

#[test]
fn a_panic_has_no_source() {
    for engine in Engine::all() {
        let panics = MessageLoop::new(|| -> () { panic!("no") }, || ());
        let error = engine.start(panics).expect_err("begin panics");
        assert!(error.is_begin() && error.source().is_none(), "{error}");
    }
}
