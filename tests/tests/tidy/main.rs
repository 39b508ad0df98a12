//! Rules of the source tree that no compiler checks: who may depend on what, how long a file may be, that each promise
//! of the documentation has tests that hold it, that metrics and events are those it lists, and what must not be in
//! the text.

mod deletions;
mod layers;
mod promises;
mod sources;
mod telemetry;
mod tree;
