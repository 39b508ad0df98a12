//! Values that the tests of the machines are made of.

use apollo_gateway_core::{
    exchange::{Concluded, Outcome},
    object::{DesiredPhase, ProcessObject, ProcessStatus},
};
use apollo_wire::{
    CanonicalSpec, DeviceName, InstanceId, Observation, ProcessRef, ProcessState, Report, Sequence,
    UnixMillis, Verdicts,
};

/// A moment long after 1970.
pub const NOW: i64 = 1_800_000_000_000;

pub fn now() -> UnixMillis {
    UnixMillis::saturating(NOW)
}

pub fn device(name: &str) -> DeviceName {
    name.parse().unwrap()
}

pub fn process(name: &str) -> ProcessRef {
    format!("default/{name}").parse().unwrap()
}

pub fn instance(number: u8) -> InstanceId {
    InstanceId::from_bytes([number; 16])
}

pub fn spec(text: &str) -> CanonicalSpec {
    CanonicalSpec::new(&serde_json::json!({ "command": [text] })).unwrap()
}

/// A process object with an empty status at generation 1.
pub fn object(name: &str, bound_to: &str) -> ProcessObject {
    ProcessObject {
        process: process(name),
        device: device(bound_to),
        generation: 1,
        spec: spec("one"),
        wants: DesiredPhase::Running,
        status: ProcessStatus::default(),
    }
}

/// An observation of a running process under the current spec, seen a second ago.
pub fn running(seq: Sequence, name: &str) -> Observation {
    let mut observation = Observation::new(seq, process(name), now().plus(-1000));
    observation.state = Some(ProcessState::Running);
    observation.spec_hash = Some(spec("one").hash());
    observation
}

pub fn report(instance_number: u8, observations: Vec<Observation>) -> Report {
    Report {
        observations,
        ..Report::empty(instance(instance_number), now())
    }
}

/// The verdicts of an outcome that has some.
pub fn verdicts(concluded: &Concluded) -> &Verdicts {
    match &concluded.outcome {
        Outcome::Settled { verdicts, .. } => verdicts,
        other => panic!("not settled: {other:?}"),
    }
}
