//! What agent and gateway say to each other: the types, their JSON form and their binary frames.
//!
//! This crate does no IO and reads no clock. [`Report`], [`Verdicts`] and [`DesiredState`] are the three messages;
//! each has a JSON form (for people and tools) and a binary form (for links where bytes cost money), described
//! normatively in `docs/wire.md`. Decoding is strict and bounded: see [`limits`].

pub mod binary;
pub mod json;
pub mod limits;

mod desired;
mod identity;
mod observation;
mod problem;
mod report;
mod spec;
mod spec_hash;
mod time;
mod verdict;

pub use desired::{DesiredProcess, DesiredState};
pub use identity::{DeviceName, Epoch, InstanceId, NameError, ProcessRef, Sequence};
pub use observation::{Clock, Defect, Observation, ProcessState, Value};
pub use problem::Problem;
pub use report::{Gap, GapReason, Malformed, QueueDepth, Report};
pub use spec::{DeviceRef, EnvVar, ProcessSpec, RestartPolicy};
pub use spec_hash::{CanonicalSpec, CanonicalSpecError, SpecHash, SpecHashError};
pub use time::{TimeError, UnixMillis};
pub use verdict::{RejectReason, Rejection, SequenceRange, Verdicts};
