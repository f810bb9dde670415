//! models
pub mod biased_lock;
pub mod checker;
pub mod end_rule;
pub mod ledger;
pub mod park_wake;
pub mod store_buffer;
