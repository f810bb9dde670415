//! What fuzzers run, and what a test replays without one: bytes from nowhere, fed to everything that
//! takes in bytes from another process. Each function panics when something has become untrue.
//!
//! * [`frames`]: a stream of frames, in pieces.
//! * [`conversation`]: workers that say anything, to the parent's side.
//! * [`broker`]: calls of a broker in memory, by somebody who means no good.
//! * [`entries`]: values of the dict as bytes.
//!
//! Beyond that, whoever calls them sees to it that nothing aborts or hangs and that no allocation is out
//! of proportion. [`seeds`] has honest inputs to start from. The `fuzz` directory has the targets of
//! cargo-fuzz.

mod broker;
mod entries;
mod script;
mod seeds;

pub use self::{broker::broker, entries::entries, seeds::seeds};
pub use crate::process::fuzz::{conversation, frames};

pub(crate) use self::{
    broker::run_down,
    script::{Script, ScriptClock},
};
