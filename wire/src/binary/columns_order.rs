//! The columns of what orders rows: sequences and times, as steps from row to row.

use super::{
    DecodeError,
    columns::{Coding, Column},
    model::SMOOTH,
    range_coder::BitCoder,
};
use crate::limits;

impl<C: BitCoder> Coding<'_, C> {
    /// The first sequence as it is, the others as how far they are from the one that would follow.
    pub(super) fn sequences(&mut self, sequences: &mut Vec<u64>, rows: usize) -> Result<(), C::Error> {
        sequences.resize(rows, 0);
        let mut previous = None;
        for sequence in sequences {
            *sequence = match previous {
                None => self
                    .models
                    .number(self.coder, Column::FirstSequence.context(), SMOOTH, *sequence),
                Some(previous) => {
                    let next = u64::wrapping_add(previous, 1);
                    let step = sequence.wrapping_sub(next).cast_signed();
                    let step = self.models.signed(self.coder, Column::Sequence.context(), step);
                    next.wrapping_add(step.cast_unsigned())
                }
            };
            let field = "observations.seq";
            let below = *sequence <= limits::SEQUENCE_MAX;
            self.coder.check(
                below,
                DecodeError::Invalid {
                    field,
                    expected: "a number below 2^63",
                },
            )?;
            previous = Some(*sequence);
        }
        Ok(())
    }

    /// The first time is told as how long before `sent_at` it was, the others as how long after the one before; in
    /// seconds where all of them are whole seconds.
    pub(super) fn times(&mut self, times: &mut Vec<i64>, rows: usize, sent_at: i64) {
        times.resize(rows, 0);
        let Some((first, others)) = times.split_first_mut() else {
            return;
        };
        let age = self.models.signed(
            self.coder,
            Column::FirstTime.context(),
            sent_at.wrapping_sub(*first),
        );
        *first = sent_at.wrapping_sub(age);
        if others.is_empty() {
            return;
        }
        let mut previous = *first;
        let whole = others.iter().all(|time| {
            let step = time.wrapping_sub(previous);
            previous = *time;
            step % 1000 == 0
        });
        let unit = if self
            .models
            .flag(self.coder, Column::WholeSeconds.context(), whole)
        {
            1000
        } else {
            1
        };
        let mut previous = *first;
        for time in others {
            let step = time.wrapping_sub(previous) / unit;
            let step = self.models.signed(self.coder, Column::Time.context(), step);
            *time = previous.wrapping_add(step.wrapping_mul(unit));
            previous = *time;
        }
    }
}
