//! Columns turned back into observations; what breaks a bound is refused row by row.

use std::collections::BTreeMap;

use super::{
    DecodeError,
    batch::{Batch, CLOCKS, STATES, Slot, Texts},
    measurement::Measurement,
    model::unzigzag,
    template::Piece,
};
use crate::{Malformed, Observation, ProcessRef, Report, SpecHash, UnixMillis, Value, limits};

/// Appends a decoded batch to its report, at most [`limits::FRAME_DECODED_BYTES`] of it.
pub(super) fn append(batch: &Batch, report: &mut Report) -> Result<(), DecodeError> {
    let processes: Vec<Option<ProcessRef>> = batch
        .processes
        .iter()
        .map(|name| std::str::from_utf8(name).ok()?.parse().ok())
        .collect();
    let mut numbers: Vec<Vec<_>> = batch
        .slots
        .iter()
        .map(|slots| slots.iter().map(numbers_of).collect())
        .collect();
    let mut values = batch.values.iter();
    let mut left = limits::FRAME_DECODED_BYTES;
    for (row, seq) in batch.seq.iter().enumerate() {
        let template = at(&batch.template, row);
        let message = message(
            batch,
            template,
            numbers.get_mut(template).map_or(&mut [], Vec::as_mut_slice),
        );
        let set = batch
            .value_sets
            .get(at(&batch.value_set, row))
            .map_or(&[][..], Vec::as_slice);
        let values: Vec<_> = set.iter().copied().zip(values.by_ref()).collect();
        let parts = Parts {
            batch,
            row,
            process: processes.get(at(&batch.process, row)),
            message,
            values,
        };
        match parts.observation(*seq) {
            Ok(observation) => {
                let spent = unpacked_bytes(&observation);
                left = left.checked_sub(spent).ok_or(DecodeError::TooLarge {
                    field: "observations",
                })?;
                report.observations.push(observation);
            }
            Err(message) => report.malformed.push(Malformed { seq: *seq, message }),
        }
    }
    Ok(())
}

/// What an observation counts against the limit: itself and its texts.
fn unpacked_bytes(row: &Observation) -> usize {
    let values: usize = row
        .values
        .keys()
        .map(|name| name.len() + size_of::<(String, Value)>())
        .sum();
    size_of::<Observation>() + row.reason.len() + row.message.len() + values
}

/// The cell of a row in a column of indexes. Columns are all as long as the batch.
fn at(column: &[usize], row: usize) -> usize {
    column.get(row).copied().unwrap_or(0)
}

type Numbers<'a> = (&'a Slot, std::slice::Iter<'a, u64>);

fn numbers_of(slot: &Slot) -> Numbers<'_> {
    (slot, slot.numbers.iter())
}

/// The message of the next row of a template.
fn message(batch: &Batch, template: usize, numbers: &mut [Numbers]) -> Result<String, String> {
    // A template is never longer than its messages; hostile ones are not unpacked again for every row.
    if batch
        .templates
        .get(template)
        .is_some_and(|template| template.len() > limits::MESSAGE_BYTES)
    {
        return Err(format!(
            "message: expected at most {} bytes",
            limits::MESSAGE_BYTES
        ));
    }
    let mut message = Vec::new();
    let mut numbers = numbers.iter_mut();
    let mut sound = true;
    for piece in batch.pieces(template) {
        match piece {
            Piece::Text(text) => message.extend_from_slice(text),
            Piece::Number(_) => {
                let number = numbers
                    .next()
                    .and_then(|(slot, column)| Some((slot.digits, *column.next()?)));
                sound &= number.is_some_and(|(digits, number)| digits.write(number, &mut message));
            }
        }
    }
    match String::from_utf8(message) {
        Ok(message) if sound => Ok(message),
        Ok(_) => Err("message: expected numbers of as many digits as their column has".to_owned()),
        Err(_) => Err("message: expected UTF-8".to_owned()),
    }
}

/// What a row is made of.
struct Parts<'a> {
    batch: &'a Batch,
    row: usize,
    process: Option<&'a Option<ProcessRef>>,
    message: Result<String, String>,
    values: Vec<(usize, &'a Measurement)>,
}

impl Parts<'_> {
    fn observation(self, seq: u64) -> Result<Observation, String> {
        let Self { batch, row, .. } = self;
        let process = self.process.cloned().flatten();
        let process = process.ok_or("process: expected NAMESPACE/NAME, both DNS-1123 names")?;
        let observed_at = batch.observed_at.get(row).copied().unwrap_or_default();
        let observed_at = UnixMillis::new(observed_at).map_err(|error| format!("observedAt: {error}"))?;
        let mut observation = Observation::new(seq, process, observed_at);
        observation.clock = CLOCKS.get(at(&batch.clock, row)).copied().unwrap_or_default();
        observation.state = STATES.get(at(&batch.state, row)).copied().flatten();
        let hash = at(&batch.spec_hash, row)
            .checked_sub(1)
            .and_then(|hash| batch.hashes.get(hash));
        observation.spec_hash = hash.map(|hash| SpecHash(*hash));
        observation.pid = narrow(&batch.pid, row, "pid", u32::try_from)?;
        observation.restarts = narrow(&batch.restarts, row, "restarts", u32::try_from)?;
        observation.exit_code = narrow(&batch.exit_code, row, "exitCode", |number| {
            i32::try_from(unzigzag(number))
        })?;
        observation.reason = text(
            &batch.reasons,
            at(&batch.reason, row),
            "reason",
            limits::REASON_BYTES,
        )?;
        observation.message = self.message?;
        observation.values = values(batch, &self.values)?;
        observation.check().map_err(|defect| defect.to_string())?;
        Ok(observation)
    }
}

/// A text of a table, checked before it is copied: hostile ones are not copied for every row.
fn text(texts: &Texts, index: usize, field: &str, max: usize) -> Result<String, String> {
    let bytes = texts.get(index).map_or(&[][..], Vec::as_slice);
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.len() <= max => Ok(text.to_owned()),
        _ => Err(format!("{field}: expected at most {max} bytes of UTF-8")),
    }
}

/// A number that was sent plus one, 0 for none.
fn narrow<T, E>(
    column: &[u64],
    row: usize,
    field: &str,
    convert: impl Fn(u64) -> Result<T, E>,
) -> Result<Option<T>, String> {
    match column.get(row).and_then(|number| number.checked_sub(1)) {
        Some(number) => convert(number)
            .map(Some)
            .map_err(|_| format!("{field}: expected a number of 32 bits")),
        None => Ok(None),
    }
}

fn values(batch: &Batch, cells: &[(usize, &Measurement)]) -> Result<BTreeMap<String, Value>, String> {
    if cells.len() > limits::VALUES {
        return Err(format!("values: expected at most {} entries", limits::VALUES));
    }
    let mut values = BTreeMap::new();
    for (name, measurement) in cells {
        let name = text(
            &batch.value_names,
            *name,
            "a name in values",
            limits::VALUE_NAME_BYTES,
        )?;
        let value = Value::new(measurement.number()).ok_or("values: expected finite numbers")?;
        if values.insert(name, value).is_some() {
            return Err("values: expected every name once".to_owned());
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_counts_with_all_its_texts() {
        let mut row = Observation::new(1, "default/p".parse().unwrap(), UnixMillis::default());
        assert_eq!(unpacked_bytes(&row), size_of::<Observation>());
        row.reason = "four".to_owned();
        row.message = "sixteen".to_owned();
        for name in ["a", "bc"] {
            row.values.insert(name.to_owned(), Value::new(1.0).unwrap());
        }
        let values = 1 + 2 + 2 * size_of::<(String, Value)>();
        assert_eq!(unpacked_bytes(&row), size_of::<Observation>() + 4 + 7 + values);
    }
}
