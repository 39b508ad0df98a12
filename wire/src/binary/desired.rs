//! The desired document's frame: postcard values, whose text goes through the text model or, if long, zstd.

use serde_json::value::RawValue;

use super::{
    DecodeError,
    cursor::{Cursor, put},
    extension, packed,
    range_coder::{Decoder, Encoder},
    strings::MODELLED_BYTES,
    text_model::TextModel,
};
use crate::{DesiredProcess, DesiredState, DeviceName, ProcessRef, SpecHash, limits};

/// Bits of the byte that says which parts follow.
mod part {
    /// The document is compressed with zstd; else modelled.
    pub(super) const PACKED: u8 = 1;
    pub(super) const EXTENSIONS: u8 = 1 << 1;
    pub(super) const KNOWN: u8 = (1 << 2) - 1;
}

/// A desired document as a frame.
pub fn encode_desired(desired: &DesiredState) -> Vec<u8> {
    let document = document(desired);
    if document.len() > MODELLED_BYTES {
        return packed::put_packed(vec![super::VERSION, part::PACKED], &document);
    }
    let frame = put(vec![super::VERSION, 0], &(document.len() as u64));
    let mut encoder = Encoder::new(frame);
    let mut model = TextModel::new();
    for byte in &document {
        model.byte(&mut encoder, *byte);
    }
    encoder.finish()
}

/// The document before compression.
fn document(desired: &DesiredState) -> Vec<u8> {
    let mut bytes = put(
        Vec::new(),
        &(desired.device.as_str(), desired.processes.len() as u64),
    );
    for process in &desired.processes {
        bytes = put(
            bytes,
            &(
                process.namespace.as_str(),
                process.name.as_str(),
                process.generation,
            ),
        );
        bytes.extend_from_slice(&process.spec_hash.0);
        bytes = put(bytes, &process.spec.get());
    }
    bytes
}

/// Reads a desired document.
///
/// # Errors
/// If the frame is broken, names a version or part this one does not know, or is over a limit.
pub fn decode_desired(frame: &[u8]) -> Result<DesiredState, DecodeError> {
    let mut cursor = Cursor::new(frame)?;
    let parts: u8 = cursor.take("parts")?;
    if parts & !part::KNOWN != 0 {
        return Err(DecodeError::Invalid {
            field: "parts",
            expected: "known parts only",
        });
    }
    if parts & part::EXTENSIONS != 0 {
        extension::skip(&mut cursor)?;
    }
    let document = if parts & part::PACKED != 0 {
        let document = packed::take_packed(&mut cursor, "processes")?;
        cursor.finish("processes")?;
        document
    } else {
        let length = cursor.count("processes", MODELLED_BYTES)?;
        let mut decoder = Decoder::new(cursor.rest());
        let mut model = TextModel::new();
        let document = (0..length).map(|_| model.byte(&mut decoder, 0)).collect();
        decoder.finish("processes")?;
        document
    };
    take_document(&document)
}

fn take_document(document: &[u8]) -> Result<DesiredState, DecodeError> {
    let mut cursor = Cursor::inside(document);
    let device = cursor.text("device", limits::SUBDOMAIN_BYTES)?;
    let device: DeviceName = device.parse().map_err(|_| DecodeError::Invalid {
        field: "device",
        expected: "a DNS-1123 subdomain",
    })?;
    let count = cursor.count("processes", limits::DESIRED_PROCESSES)?;
    let mut processes = Vec::with_capacity(count);
    for _ in 0..count {
        processes.push(take_process(&mut cursor)?);
    }
    cursor.finish("processes")?;
    Ok(DesiredState { device, processes })
}

fn take_process(cursor: &mut Cursor) -> Result<DesiredProcess, DecodeError> {
    let invalid = |field, expected| DecodeError::Invalid { field, expected };
    let namespace = cursor
        .text("processes.namespace", limits::LABEL_BYTES)?
        .to_owned();
    let name = cursor.text("processes.name", limits::SUBDOMAIN_BYTES)?.to_owned();
    ProcessRef::new(&namespace, &name).map_err(|_| invalid("processes.name", "DNS-1123 names"))?;
    let generation = cursor.take("processes.generation")?;
    let spec_hash = SpecHash(cursor.take("processes.specHash")?);
    let spec = cursor.text("processes.spec", limits::SPEC_BYTES)?.to_owned();
    let spec = RawValue::from_string(spec).map_err(|_| invalid("processes.spec", "JSON"))?;
    Ok(DesiredProcess {
        namespace,
        name,
        generation,
        spec_hash,
        spec,
    })
}
