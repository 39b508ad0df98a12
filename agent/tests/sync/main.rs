//! The client and the driver against a gateway that does what each test wants, over real QUIC on loopback.

mod driver;
mod fake_gateway;
mod link;
mod replies;
mod wait;
