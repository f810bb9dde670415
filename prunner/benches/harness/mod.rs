//! What the bench programs share: the command line, the clocks, rounds and the lines they print.

pub(crate) mod clock;
pub(crate) mod flags;
pub(crate) mod line;
pub(crate) mod pin;
pub(crate) mod rounds;
