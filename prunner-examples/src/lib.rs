//! Flags shared by the examples.
