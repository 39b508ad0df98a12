//! The columns of the numbers in messages, template by template and slot by slot.

use super::{
    DecodeError,
    batch::{Batch, Slot},
    columns::{Coding, Column},
    model::{Context, SMOOTH, zigzag},
    range_coder::BitCoder,
    template::{self, DIGITS, Digits},
};

/// Codes the numbers of all messages. The templates are known by now, and how many rows each has.
pub(super) fn code<C: BitCoder>(coding: &mut Coding<'_, C>, batch: &mut Batch) -> Result<(), C::Error> {
    let mut rows = vec![0; batch.templates.len()];
    for template in &batch.template {
        if let Some(rows) = rows.get_mut(*template) {
            *rows += 1;
        }
    }
    batch.slots.resize(batch.templates.len(), Vec::new());
    let mut column = 0;
    for ((slots, text), rows) in batch.slots.iter_mut().zip(&batch.templates).zip(rows) {
        let count = template::slots(text);
        let error = DecodeError::Invalid {
            field: "observations.message",
            expected: "0 for every number of a template",
        };
        coding.coder.check(count.is_some(), error)?;
        slots.resize(
            count.unwrap_or(0),
            Slot {
                digits: Digits::Plain,
                numbers: Vec::new(),
            },
        );
        for slot in slots {
            column += 1;
            slot.numbers.resize(rows, 0);
            slot_numbers(coding, slot, column)?;
        }
    }
    Ok(())
}

fn slot_numbers<C: BitCoder>(
    coding: &mut Coding<'_, C>,
    slot: &mut Slot,
    column: usize,
) -> Result<(), C::Error> {
    let kind = match slot.digits {
        Digits::Plain => 0,
        Digits::Counted => 1,
        Digits::Fixed(width) => width,
    };
    let kind = coding.choice(
        Column::Digits.context(),
        "digits of observations.message",
        DIGITS + 1,
        kind,
    )?;
    slot.digits = match kind {
        0 => Digits::Plain,
        1 => Digits::Counted,
        width => Digits::Fixed(width),
    };
    series(coding, Column::Number.context().given(column), &mut slot.numbers);
    Ok(())
}

/// A series of numbers, as they are or as steps, whichever is shorter.
fn series<C: BitCoder>(coding: &mut Coding<'_, C>, context: Context, numbers: &mut [u64]) {
    let steps = numbers.len() > 1
        && coding.models.flag(
            coding.coder,
            Column::Delta.context(),
            are_shorter_as_steps(numbers),
        );
    let mut before = 0;
    for number in numbers {
        *number = if steps {
            let step = coding
                .models
                .signed(coding.coder, context, number.wrapping_sub(before).cast_signed());
            u64::wrapping_add(before, step.cast_unsigned())
        } else {
            coding.models.number(coding.coder, context, SMOOTH, *number)
        };
        before = *number;
    }
}

/// Whether numbers take fewer bits as steps from one to the next: a bit each for the direction.
fn are_shorter_as_steps(numbers: &[u64]) -> bool {
    let bits = |number: u64| u64::from(u64::BITS - number.leading_zeros());
    let as_they_are: u64 = numbers.iter().map(|number| bits(*number)).sum();
    let step = |pair: &[u64]| match pair {
        [before, number] => 1 + bits(zigzag(number.wrapping_sub(*before).cast_signed())),
        _ => 0,
    };
    let as_steps =
        numbers.first().map_or(0, |first| bits(*first)) + numbers.windows(2).map(step).sum::<u64>();
    as_steps < as_they_are
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_where_they_save_a_bit() {
        assert!(are_shorter_as_steps(&[8, 9]), "4 + 3 bits for 4 + 4");
        assert!(!are_shorter_as_steps(&[4, 5]), "3 + 3 bits for 3 + 3");
        assert!(!are_shorter_as_steps(&[7]));
    }
}
