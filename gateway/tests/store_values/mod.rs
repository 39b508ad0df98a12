//! Values that the tests of stores are made of.

use apollo_gateway_core::store::{HistoryRow, OnConflict, StoreRequest};
use apollo_wire::{DeviceName, Gap, GapReason, InstanceId, Observation, ProcessRef, UnixMillis};

pub(crate) fn device(name: &str) -> DeviceName {
    name.parse().unwrap()
}

pub(crate) fn process(name: &str) -> ProcessRef {
    ProcessRef::new("default", name).unwrap()
}

pub(crate) fn instance(number: u8) -> InstanceId {
    InstanceId::from_bytes([number; 16])
}

pub(crate) fn row(seq: u64) -> HistoryRow {
    HistoryRow {
        observation: Observation::new(seq, process("p"), UnixMillis::saturating(1_000)),
        corrected_at: None,
        orphaned: false,
    }
}

pub(crate) fn append(device_name: &str, of: u8, rows: Vec<HistoryRow>) -> StoreRequest {
    StoreRequest::AppendHistory {
        device: device(device_name),
        instance: instance(of),
        epoch: u32::from(of),
        received_at: UnixMillis::saturating(2_000),
        rows,
        gaps: vec![Gap {
            first: 1,
            last: 2,
            reason: GapReason::QueueFull,
        }],
        on_conflict: OnConflict::KeepFirst,
    }
}
