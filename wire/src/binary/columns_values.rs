//! The columns of `values`: which names a row has, then the measurements, each next to the last one of its name.

use std::collections::HashMap;

use super::{
    DecodeError,
    batch::Batch,
    columns::{Coding, Column},
    measurement::{BITS, Measurement},
    model::{NAMES, SMOOTH},
    range_coder::BitCoder,
};
use crate::limits;

/// Most names in one set: above the contract's [`limits::VALUES`], so that one row with too many is refused alone.
pub const SET_NAMES: u64 = 255;
const _: () = assert!(SET_NAMES > limits::VALUES as u64);
/// Most names in all sets, and most measurements in all rows: what a full report within the contract can hold.
const CELLS: usize = limits::OBSERVATIONS * limits::VALUES;

/// Codes which names each row has, the names, and the measurements.
pub(super) fn code<C: BitCoder>(
    coding: &mut Coding<'_, C>,
    batch: &mut Batch,
    rows: usize,
) -> Result<(), C::Error> {
    batch.value_set.resize(rows, 0);
    if !coding.present(Column::ValueSet, !batch.values.is_empty()) {
        batch.value_sets.resize(1, Vec::new());
        return Ok(());
    }
    let mut known = 0;
    for (set, template) in batch.value_set.iter_mut().zip(&batch.template) {
        let context = Column::ValueSet.context().given(*template);
        *set = coding.index((Column::ValueSet, context), &mut known, *set)?;
    }
    batch.value_sets.resize(known, Vec::new());
    let (mut names, mut cells) = (0, 0);
    for set in &mut batch.value_sets {
        let count = coding.models.number(
            coding.coder,
            Column::ValueName.context(),
            SMOOTH,
            set.len() as u64,
        );
        let over = DecodeError::OverLimit {
            field: "observations.values",
            found: count,
            max: SET_NAMES,
        };
        coding.coder.check(count <= SET_NAMES, over)?;
        let count = usize::try_from(count).unwrap_or(0);
        cells += count;
        coding.coder.check(
            cells <= CELLS,
            DecodeError::TooLarge {
                field: "observations.values",
            },
        )?;
        set.resize(count, 0);
        for name in set {
            let context = Column::ValueName.context().given(1);
            *name = coding.index((Column::ValueName, context), &mut names, *name)?;
        }
    }
    coding.texts(
        Column::ValueName,
        "a name in observations.values",
        &mut batch.value_names,
        names,
    )?;
    measurements(coding, batch)
}

fn measurements<C: BitCoder>(coding: &mut Coding<'_, C>, batch: &mut Batch) -> Result<(), C::Error> {
    let sets = batch
        .value_set
        .iter()
        .map(|set| batch.value_sets.get(*set).map_or(&[][..], Vec::as_slice));
    let cells = sets.clone().map(<[usize]>::len).sum();
    coding.coder.check(
        cells <= CELLS,
        DecodeError::TooLarge {
            field: "observations.values",
        },
    )?;
    batch.values.resize(cells, Measurement::default());
    let mut latest: HashMap<(usize, usize), Measurement> = HashMap::new();
    let cells = sets
        .zip(&batch.process)
        .flat_map(|(set, process)| set.iter().map(|name| (*name, *process)));
    for ((name, process), value) in cells.zip(&mut batch.values) {
        let before = latest.get(&(process, name)).copied().unwrap_or_default();
        let context = Column::Scale
            .context()
            .given(name)
            .given(usize::try_from(before.scale).unwrap_or(0));
        let scale = coding
            .models
            .number(coding.coder, context, NAMES, value.scale.into());
        let field = "observations.values";
        let known = DecodeError::Invalid {
            field,
            expected: "a power of ten from 0 to 15, or 16 for a double",
        };
        coding.coder.check(scale <= BITS.into(), known)?;
        value.scale = u32::try_from(scale).unwrap_or(BITS);
        value.digits = if value.scale == BITS {
            coding
                .coder
                .plain_bits(value.digits.cast_unsigned(), u64::BITS)
                .cast_signed()
        } else {
            let before = if before.scale == value.scale {
                before.digits
            } else {
                0
            };
            let context = Column::Measurement.context().given(name);
            before.wrapping_add(coding.models.signed(
                coding.coder,
                context,
                value.digits.wrapping_sub(before),
            ))
        };
        latest.insert((process, name), *value);
    }
    Ok(())
}
