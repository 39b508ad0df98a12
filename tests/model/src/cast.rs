//! Who takes part: devices, processes, instances, observations, and the one moment at which everything happens.

use apollo_gateway_core::object::{DesiredPhase, ProcessObject, ProcessStatus};
use apollo_wire::{CanonicalSpec, DeviceName, InstanceId, Observation, ProcessRef, ProcessState, UnixMillis};

/// The time of every clock in the model: long after 1970, and standing still.
pub const NOW_MS: i64 = 1_800_000_000_000;

/// The time of every clock.
pub fn now() -> UnixMillis {
    UnixMillis::saturating(NOW_MS)
}

/// Names of the devices, by number.
const DEVICES: [&str; 2] = ["buoy-1", "buoy-2"];
/// Names of the processes, by number.
const PROCESSES: [&str; 2] = ["default/a", "default/b"];

/// A device's name.
pub fn device(number: usize) -> DeviceName {
    parse(DEVICES[number])
}

/// A process's name.
pub fn process(number: usize) -> ProcessRef {
    parse(PROCESSES[number])
}

#[expect(clippy::expect_used, reason = "the names above are valid")]
fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> T {
    name.parse().expect("a valid name")
}

/// The instance on the image that every agent of a device starts with.
pub fn first_instance(device: usize) -> InstanceId {
    instance(0x80 | u8::try_from(device).unwrap_or(0), 0)
}

/// The instance an agent makes when it renews for the `count`th time. No two draws are alike, as with random UUIDs, and
/// what one agent draws does not depend on what the other has drawn.
pub fn renewed_instance(agent: usize, count: u8) -> InstanceId {
    instance(u8::try_from(agent).unwrap_or(0), count)
}

fn instance(maker: u8, count: u8) -> InstanceId {
    let mut bytes = [0; 16];
    (bytes[0], bytes[15]) = (maker, count);
    InstanceId::from_bytes(bytes)
}

/// What tells one observation from every other, whatever sequences it gets: it stands in its `pid`.
pub type ObservationId = u8;

/// The observation of that identity, about that process.
pub fn observation(id: ObservationId, about: usize) -> Observation {
    let mut observation = Observation::new(0, process(about), now());
    observation.state = Some(ProcessState::Running);
    observation.spec_hash = Some(spec().hash());
    observation.pid = Some(u32::from(id));
    observation
}

/// The identity of an observation.
pub fn id_of(observation: &Observation) -> ObservationId {
    observation
        .pid
        .and_then(|pid| ObservationId::try_from(pid).ok())
        .unwrap_or(ObservationId::MAX)
}

/// The one spec of every process.
#[expect(clippy::expect_used, reason = "the object below is a valid spec")]
fn spec() -> CanonicalSpec {
    CanonicalSpec::new(&serde_json::json!({ "command": ["x"] })).expect("a valid spec")
}

/// A process object nobody has reported on.
pub fn process_object(number: usize, bound_to: usize) -> ProcessObject {
    ProcessObject {
        process: process(number),
        device: device(bound_to),
        generation: 1,
        spec: spec(),
        wants: DesiredPhase::Running,
        status: ProcessStatus::default(),
    }
}
