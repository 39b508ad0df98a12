//! The client and the driver against a gateway that does what each test wants, over real QUIC on loopback.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's scaffolding fails the test where it stands"
)]

mod damaged_rows;
mod driver;
mod fake_gateway;
mod link;
mod replies;
mod rig;
mod stopping;
mod wait;
