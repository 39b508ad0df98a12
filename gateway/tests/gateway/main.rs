//! The gateway as devices meet it: real QUIC on loopback, a real store, certificates made for each test.

mod client;
mod drain;
mod early_data;
mod fixture;
mod guard;
mod identity;
mod reload;
mod statuses;
mod waiting;
