//! The queue of status writes, driven as a store drives it: what is folded into what, who waits for whom, and how fast.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop where it fails"
)]

#[path = "../memory/mod.rs"]
mod memory;

mod api_server;
mod folded;
mod interleaved;
mod paced;
mod paused;
mod sent_as_they_are;
mod turns;
