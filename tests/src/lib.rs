//! Everything that needs both sides of Apollo at once: a link emulator, a harness that runs the real programs, and
//! the quickstart. The tests themselves are in `tests/tests/`, one file per intent.

pub mod harness;
pub mod linksim;
pub mod quickstart;
pub mod workload;
