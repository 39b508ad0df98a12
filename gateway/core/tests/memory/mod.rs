//! What the tests of the machines build on: the store's twin with objects in it, counts of what was written, a cache
//! that lags and faults on demand; and values to report.
#![allow(dead_code, reason = "each test file uses the part it needs")]
#![allow(unreachable_pub, unused_imports, reason = "shared by test files as a module")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "names written here are valid, and a failing test should stop"
)]

mod store;
mod values;

pub use store::{Fault, Memory};
pub use values::{NOW, device, instance, now, object, process, report, running, spec, verdicts};

/// A store whose device `buoy` has reported its process `own` once.
pub fn connected_store() -> Memory {
    let mut store = Memory::with(&[("own", "buoy")]);
    let _ = store.report("buoy", report(1, vec![running(1, "own")]));
    store.requests.clear();
    store
}
