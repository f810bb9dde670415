//! The guide and the other pages that lie in `docs/`.

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

/// [design]: crate::docs::design
/// [failures]: crate::docs::guide#failures
#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("../docs/faults.md")]
pub mod faults {}

/// [processes]: crate::docs::guide#worker-processes
#[doc = include_str!("../docs/coming-from-prunner-py.md")]
pub mod coming_from_prunner_py {}

/// [where code runs]: crate::docs::design#where-code-of-the-program-runs
#[doc = include_str!("../docs/performance.md")]
pub mod performance {}

/// [wire format]: crate::docs::wire_format
#[doc = include_str!("../docs/design.md")]
pub mod design {}

#[doc = include_str!("../docs/wire-format.md")]
pub mod wire_format {}
