//! Programs that must not compile, and what their authors are told.
//!
//! After a change of the messages: `TRYBUILD=overwrite cargo test -p prunner-tests --test ui`, and
//! read the difference.

// One test that builds the library and many programs.
prunner_tests::watched!(600);

#[test]
fn mistakes_are_told_in_the_terms_of_prunner() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
