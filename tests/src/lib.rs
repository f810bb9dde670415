//! What the tests of prunner share: for now the models of the threads engine's protocols.

pub mod model;
