//! Cells of database tables, made from bytes: of every type, sound ones and damaged ones.

use arbitrary::{Result, Unstructured};
use rusqlite::{Connection, params_from_iter, types::Value};

/// A column: its name, and values that are sound there.
pub(crate) type Column = (&'static str, &'static [Cell]);

/// A sound value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell {
    /// NULL.
    Null,
    /// A number.
    Integer(i64),
    /// A text.
    Text(&'static str),
    /// Bytes.
    Blob(&'static [u8]),
}

impl Cell {
    fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(number),
            Self::Text(text) => Value::Text(text.to_owned()),
            Self::Blob(bytes) => Value::Blob(bytes.to_vec()),
        }
    }
}

/// Inserts one row. What the table itself refuses (a constraint) is no row: then nothing happens.
pub(crate) fn insert(
    connection: &Connection,
    table: &str,
    columns: &[Column],
    source: &mut Unstructured<'_>,
) -> Result<()> {
    let values: Vec<Value> = columns
        .iter()
        .map(|(_, sound)| cell(sound, source))
        .collect::<Result<_>>()?;
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let places = vec!["?"; columns.len()].join(", ");
    let sql = format!(
        "INSERT OR REPLACE INTO {table} ({}) VALUES ({places})",
        names.join(", ")
    );
    let mut statement = connection.prepare_cached(&sql).expect("the table is there");
    // A constraint is the table's own refusal.
    let _ = statement.execute(params_from_iter(values));
    Ok(())
}

/// Ends the transaction of the inserts; some refusals of SQLite, such as one after the last key, have ended it already.
pub(crate) fn commit(connection: &Connection) {
    if !connection.is_autocommit() {
        connection.execute_batch("COMMIT").expect("nobody else writes");
    }
}

/// Mostly a sound value; now and then one of any type.
fn cell(sound: &[Cell], source: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match source.int_in_range(0..=15)? {
        0 => Value::Null,
        1 => Value::Integer(source.arbitrary()?),
        2 => Value::Integer(source.arbitrary::<i8>()?.into()),
        3 => Value::Integer(if source.arbitrary()? { i64::MAX } else { i64::MIN }),
        4 => Value::Real(source.arbitrary()?),
        5 => Value::Text(source.arbitrary::<&str>()?.to_owned()),
        6 => Value::Blob(source.arbitrary::<&[u8]>()?.to_vec()),
        // Past every limit of a text.
        7 => Value::Text("7".repeat(source.int_in_range(1..=70_000)?)),
        _ => source.choose(sound)?.value(),
    })
}
