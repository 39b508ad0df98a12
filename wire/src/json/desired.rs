//! Reading a desired document: whole or not at all.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    JsonError,
    fields::{is_object, list, object, required, wrong},
};
use crate::{DesiredProcess, DesiredState, ProcessRef, limits};

/// The fields as uninterpreted text, so that each can be named when it is wrong.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    device: Option<&'a RawValue>,
    #[serde(borrow, default)]
    processes: Option<&'a RawValue>,
}

/// Reads a desired document. Unknown fields are ignored.
///
/// # Errors
/// If the body is no JSON object, or a field is missing, wrong or over a limit: the error names it.
pub fn decode_desired(body: &[u8]) -> Result<DesiredState, JsonError> {
    let envelope: Envelope = object(body, "desired")?;
    let device = required(envelope.device, "device", "a DNS-1123 subdomain")?;
    let raw = envelope.processes.ok_or_else(|| wrong("processes", "a list"))?;
    let processes = list(Some(raw), "processes", limits::DESIRED_PROCESSES)?;
    let processes = processes.into_iter().enumerate().map(process);
    Ok(DesiredState {
        device,
        processes: processes.collect::<Result<_, _>>()?,
    })
}

fn process((index, raw): (usize, &RawValue)) -> Result<DesiredProcess, JsonError> {
    let wrong = |expected| Err(wrong(&format!("processes[{index}]"), expected));
    let read = serde_json::from_str::<DesiredProcess>(raw.get());
    let Some(process) = read.ok().filter(|_| is_object(raw)) else {
        return wrong("an object with namespace, name, generation, specHash and spec");
    };
    if ProcessRef::new(&process.namespace, &process.name).is_err() {
        return wrong("a namespace and a name that are DNS-1123 names");
    }
    if process.spec.get().len() > limits::SPEC_BYTES {
        return wrong("a spec of at most 65,536 bytes");
    }
    Ok(process)
}
