//! Columns that no honest writer makes, written by the coder itself and read back: each must be refused for what it is.

use super::{
    DecodeError,
    batch::Batch,
    columns::{Coding, Column},
    model::NAMES,
    range_coder::{Decoder, Encoder},
    rows,
    strings::Strings,
    template::Digits,
};
use crate::{InstanceId, Observation, Report, UnixMillis};

/// What a coding of either direction comes to.
type Read<T> = Result<T, DecodeError>;

/// Writes with one closure and reads with the other.
fn through<T>(
    write: impl FnOnce(&mut Coding<'_, Encoder>),
    read: impl FnOnce(&mut Coding<'_, Decoder<'_>>) -> Read<T>,
) -> Read<T> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut Coding::new(&mut encoder, &mut Strings::modelled()));
    let bytes = encoder.finish();
    let mut decoder = Decoder::new(&bytes);
    let value = read(&mut Coding::new(&mut decoder, &mut Strings::modelled()))?;
    decoder.finish("test").map(|()| value)
}

fn batch_through(batch: &mut Batch) -> Read<Batch> {
    through(
        |coding| {
            let Ok(()) = coding.batch(batch, 0);
        },
        |coding| {
            let mut read = Batch::default();
            coding.batch(&mut read, 0).map(|()| read)
        },
    )
}

fn observation(seq: u64, message: &str) -> Observation {
    let process = "default/p".parse().unwrap();
    let mut observation = Observation::new(seq, process, UnixMillis::saturating(1_000));
    observation.message = message.to_owned();
    observation
}

#[test]
fn a_block_without_rows_is_refused() {
    let refused = batch_through(&mut Batch::default()).map(|batch| batch.rows());
    let field = "observations";
    let expected = "at least one, or no column block";
    assert_eq!(refused, Err(DecodeError::Invalid { field, expected }));
}

#[test]
fn an_index_of_an_entry_that_is_not_known_yet_is_refused() {
    let context = || (Column::Process, Column::Process.context());
    let read = |index: u64| {
        through(
            |coding| {
                let mut known = 0;
                for fresh in 0..2 {
                    let Ok(_) = coding.index(context(), &mut known, fresh);
                }
                // Says that it is a known one, which `Coding::index` never does of this.
                let fresh = Column::Fresh.context().given(Column::Process as usize);
                coding.models.flag(coding.coder, fresh, false);
                coding.models.number(coding.coder, context().1, NAMES, index);
            },
            |coding| {
                let mut known = 0;
                let mut index = 0;
                for _ in 0..3 {
                    index = coding.index(context(), &mut known, 0)?;
                }
                Ok(index)
            },
        )
    };
    assert_eq!(read(1), Ok(1));
    assert!(matches!(
        read(2),
        Err(DecodeError::Invalid {
            field: "table index",
            ..
        })
    ));
}

#[test]
fn a_choice_past_the_last_is_refused() {
    let read = |choice: usize| {
        through(
            |coding| {
                let Ok(_) = coding.choice(Column::State.context(), "test", 3, choice);
            },
            |coding| coding.choice(Column::State.context(), "test", 3, 0),
        )
    };
    assert_eq!(read(2), Ok(2));
    assert!(matches!(read(3), Err(DecodeError::Invalid { field: "test", .. })));
}

#[test]
fn a_number_of_more_digits_than_its_column_spoils_its_row_wherever_it_stands() {
    for (first, second) in [(100, 7), (7, 100)] {
        let mut batch = Batch::new(&[observation(1, "07 of 08")]);
        let slots = &mut batch.slots[0];
        assert_eq!(slots[0].digits, Digits::Fixed(2));
        (slots[0].numbers, slots[1].numbers) = (vec![first], vec![second]);
        let read = batch_through(&mut batch).unwrap();
        let mut report = Report::empty(InstanceId::from_bytes([1; 16]), UnixMillis::default());
        rows::append(&read, &mut report).unwrap();
        assert_eq!((report.observations.len(), report.malformed.len()), (0, 1));
        assert!(
            report.malformed[0]
                .message
                .starts_with("message: expected numbers")
        );
    }
}
