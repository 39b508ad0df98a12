//! Messages as a template and its numbers: "exit code 6 after 18.7s" is "exit code 0 after 0.0s" with 6, 18 and 7.
//!
//! Templates repeat from row to row, so they go into a table; the numbers go into columns. In a template every number
//! is written as a single `0`. Digits that are not taken out stay as they are, and are told apart by rule: runs of
//! more than [`DIGITS`] digits, and whatever follows the first [`SLOTS`] numbers.

/// Longest run of digits taken out: every such number is below 2^60.
pub(super) const DIGITS: usize = 18;
/// Most numbers taken out of one message: bounds the columns of one template.
pub(super) const SLOTS: usize = 32;

/// A piece of a message or template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text that stays.
    Text(&'a [u8]),
    /// Digits that are taken out, or, in a template, their place.
    Number(&'a [u8]),
}

/// Cuts a message or a template into its pieces.
pub(super) fn pieces(text: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut numbers = 0;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let digits = first.is_ascii_digit();
        let end = rest
            .iter()
            .position(|byte| byte.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        if digits && end <= DIGITS && numbers < SLOTS {
            numbers += 1;
            return Some(Piece::Number(piece));
        }
        Some(Piece::Text(piece))
    })
}

/// A message's template, and the digits that were taken out of it.
pub(super) fn split(message: &[u8]) -> (Vec<u8>, Vec<&[u8]>) {
    let (mut template, mut numbers) = (Vec::with_capacity(message.len()), Vec::new());
    for piece in pieces(message) {
        match piece {
            Piece::Text(text) => template.extend_from_slice(text),
            Piece::Number(digits) => {
                template.push(b'0');
                numbers.push(digits);
            }
        }
    }
    (template, numbers)
}

/// How many numbers a template has; `None` if it is not one, because it has a number other than `0` in place.
pub(super) fn slots(template: &[u8]) -> Option<usize> {
    pieces(template).try_fold(0, |count, piece| match piece {
        Piece::Text(_) => Some(count),
        Piece::Number(b"0") => Some(count + 1),
        Piece::Number(_) => None,
    })
}

/// How the digits of one column become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    /// No number has a leading zero.
    Plain,
    /// All have this many digits, leading zeros included.
    Fixed(usize),
    /// Leading zeros and different lengths: counted through all runs of one digit, then all of two, and so on.
    Counted,
}

impl Digits {
    /// What suits all of a column, the first that can.
    pub(super) fn suiting(column: &[&[u8]]) -> Self {
        let leading_zero = |digits: &&[u8]| digits.len() > 1 && digits.first() == Some(&b'0');
        let width = column.first().map_or(0, |digits| digits.len());
        if !column.iter().any(leading_zero) {
            Self::Plain
        } else if column.iter().all(|digits| digits.len() == width) {
            Self::Fixed(width)
        } else {
            Self::Counted
        }
    }

    /// The number that stands for `digits`, of which there are 1 to [`DIGITS`].
    pub(super) fn number(self, digits: &[u8]) -> u64 {
        let number = digits
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        match self {
            Self::Plain | Self::Fixed(_) => number,
            Self::Counted => number + shorter_runs(digits.len()),
        }
    }

    /// Appends the digits that `number` stands for; false if it stands for none.
    pub(super) fn write(self, number: u64, text: &mut Vec<u8>) -> bool {
        let (number, width) = match self {
            Self::Plain => (number, 1),
            Self::Fixed(width) => (number, width),
            Self::Counted => {
                let width = (1..=DIGITS)
                    .rev()
                    .find(|width| shorter_runs(*width) <= number)
                    .unwrap_or(1);
                (number - shorter_runs(width), width)
            }
        };
        let digits = format!("{number:0width$}");
        text.extend_from_slice(digits.as_bytes());
        digits.len() <= DIGITS && (self == Self::Plain || digits.len() == width)
    }
}

/// How many runs of digits are shorter than `digits`: 0, 10, 110, 1110 ...
fn shorter_runs(digits: usize) -> u64 {
    (1..digits).fold(0, |count, _| count * 10 + 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_stands_for_digits_only_if_it_has_as_many_as_it_should() {
        let writes = |digits: Digits, number: u64| digits.write(number, &mut Vec::new());
        assert!(writes(Digits::Fixed(2), 99) && !writes(Digits::Fixed(2), 100));
        let last = 10u64.pow(18) - 1;
        assert!(writes(Digits::Plain, last) && !writes(Digits::Plain, last + 1));
        assert!(writes(Digits::Counted, 0) && !writes(Digits::Counted, u64::MAX));
    }

    fn join(template: &[u8], digits: Digits, numbers: &[u64]) -> Vec<u8> {
        let mut numbers = numbers.iter();
        let mut message = Vec::new();
        for piece in pieces(template) {
            match piece {
                Piece::Text(text) => message.extend_from_slice(text),
                Piece::Number(_) => assert!(digits.write(*numbers.next().unwrap(), &mut message)),
            }
        }
        message
    }

    #[test]
    fn numbers_leave_a_template_behind() {
        let (template, numbers) = split(b"try 161, 18.07s");
        assert_eq!(template, b"try 0, 0.0s");
        assert_eq!(numbers, [b"161".as_slice(), b"18", b"07"]);
        assert_eq!(Digits::suiting(&[b"18", b"7"]), Digits::Plain);
        assert_eq!(Digits::suiting(&[b"07", b"18"]), Digits::Fixed(2));
        assert_eq!(Digits::suiting(&[b"07", b"7"]), Digits::Counted);
    }

    #[test]
    fn long_runs_and_late_numbers_stay_text() {
        let at = "9".repeat(DIGITS);
        assert_eq!(split(at.as_bytes()), (b"0".to_vec(), vec![at.as_bytes()]));
        let past = "9".repeat(DIGITS + 1);
        assert_eq!(split(past.as_bytes()), (past.clone().into_bytes(), vec![]));
        assert_eq!(slots(past.as_bytes()), Some(0));
        let many = "7 ".repeat(SLOTS + 1);
        let (template, numbers) = split(many.as_bytes());
        assert_eq!((numbers.len(), slots(&template)), (SLOTS, Some(SLOTS)));
        assert!(template.ends_with(b"0 7 "));
        assert_eq!(slots(b"1"), None);
    }

    proptest! {
        #[test]
        fn any_message_comes_back(message in "[0-9a ]{0,80}|\\PC{0,20}") {
            let (template, numbers) = split(message.as_bytes());
            prop_assert_eq!(slots(&template), Some(numbers.len()));
            let counted: Vec<u64> = numbers.iter().map(|digits| Digits::Counted.number(digits)).collect();
            prop_assert_eq!(join(&template, Digits::Counted, &counted), message.as_bytes());
        }

        #[test]
        fn a_column_comes_back(column in prop::collection::vec("[0-9]{1,18}", 1..5)) {
            let column: Vec<&[u8]> = column.iter().map(String::as_bytes).collect();
            let digits = Digits::suiting(&column);
            for run in column {
                let mut text = Vec::new();
                prop_assert!(digits.write(digits.number(run), &mut text));
                prop_assert_eq!(text, run);
            }
        }
    }
}
