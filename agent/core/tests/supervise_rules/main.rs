//! Each rule of `docs/supervision.md` as a short history with its exact effects.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod bench;
mod changes;
mod documents;
mod restarts;
mod stops;
mod unkillable;
