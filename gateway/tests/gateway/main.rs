//! The gateway as devices meet it: real QUIC on loopback, a real store, certificates made for each test.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod admin;
mod client;
mod drain;
mod early_data;
mod expiry;
mod failing_store;
mod fixture;
mod guard;
mod handshakes;
mod identity;
mod reload;
mod serving;
mod statuses;
mod together;
mod two_gateways;
mod waiting;
