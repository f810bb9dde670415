//! The first argument by which this executable runs a program of its own.

pub(crate) const ALONE: &str = "alone";
