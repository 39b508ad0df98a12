//! Runs the real programs, as a user would: their own processes, real QUIC, real databases, in a directory of their
//! own. Whatever is started is killed, by its own process id, when its handle is dropped.
//!
//! Everything here blocks. A test that needs two things at once uses threads, so that it reads from top to bottom.

mod admin;
mod agent;
mod binaries;
mod device;
pub mod fleet;
mod gateway;
mod http3;
pub mod kube;
mod pki;
mod postgres;
mod process;
mod sandbox;
mod skip;
mod stub;
pub mod wait;
mod world;

pub use admin::{metric, metrics_text};
pub use agent::Agent;
pub use binaries::{ENV_BIN_DIR, Program, cargo_build};
pub use device::Device;
pub use gateway::{Gateway, GatewayOptions, KubeStore};
pub use http3::Reply;
pub use pki::{Identity, Pki};
pub use postgres::{Postgres, PostgresOptions};
pub use process::{Finished, Running};
pub use sandbox::Sandbox;
pub use skip::{ENV_REQUIRE_ALL, ENV_SKIPPED_FILE, skip};
pub use stub::StubGateway;
pub use world::{INSTANCE, World, condition, now, observation, report};

/// How long anything may take that takes milliseconds on an idle machine. Passing tests never wait for it; it is long
/// because two cores may be compiling at the same time.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
