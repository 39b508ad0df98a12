//! Gap records: which sequences will never arrive, and why. Bounded: neighbours merge.

use apollo_wire::{Gap, GapReason, Sequence, SequenceRange};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    limits::GAP_RECORDS,
    row::{key, sequence},
};
use crate::clock;

pub(super) fn reason_text(reason: GapReason) -> &'static str {
    match reason {
        GapReason::QueueFull => "QueueFull",
        GapReason::Purged => "Purged",
        GapReason::Corrupt => "Corrupt",
    }
}

/// The reason in a row. A word this program never wrote means the row is damaged, and so is what it told about.
fn parse_reason(text: &str) -> GapReason {
    match text {
        "QueueFull" => GapReason::QueueFull,
        "Purged" => GapReason::Purged,
        _ => GapReason::Corrupt,
    }
}

/// Records lost ranges, in ascending order, joining each with the record it continues, then keeps the bound.
pub(super) fn record(
    connection: &Connection,
    lost: &[SequenceRange],
    reason: GapReason,
) -> rusqlite::Result<()> {
    repair(connection)?;
    for range in lost {
        insert(connection, *range, reason)?;
    }
    keep_bound(connection)
}

/// Where a record says what this program never writes.
const UNREADABLE: &str = "first < 1 OR typeof(last) <> 'integer' OR last < first \
                          OR reason NOT IN ('QueueFull', 'Purged', 'Corrupt')";

/// Whether any record needs [`repair`], which needs a transaction that may write.
pub(super) fn any_unreadable(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM gap WHERE {UNREADABLE})");
    connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))
}

/// Makes what is left of damaged records one of the reason Corrupt: one record that cannot be read must not keep all
/// others, and the rows, from being sent. One whose beginning is no sequence names nothing, and goes.
fn repair(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM gap WHERE first < 1")?
        .execute([])?;
    let sql = format!(
        "UPDATE gap SET last = max(first, iif(typeof(last) = 'integer', last, first)), reason = 'Corrupt' \
         WHERE {UNREADABLE}"
    );
    connection.prepare_cached(&sql)?.execute([]).map(|_| ())
}

/// Inserts one range, joined with records of the same reason that touch it.
fn insert(connection: &Connection, range: SequenceRange, reason: GapReason) -> rusqlite::Result<()> {
    let reason = reason_text(reason);
    let mut joined = range;
    let before: Option<(i64, i64)> = connection
        .prepare_cached(
            "SELECT first, last FROM gap WHERE first <= ?1 AND reason = ?2 ORDER BY first DESC LIMIT 1",
        )?
        .query_row(params![key(range.first), reason], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if let Some((first, last)) = before
        && sequence(last).saturating_add(1) >= range.first
    {
        joined = SequenceRange {
            first: sequence(first),
            last: joined.last.max(sequence(last)),
        };
    }
    let after: Option<i64> = connection
        .prepare_cached("SELECT max(last) FROM gap WHERE first > ?1 AND first <= ?2 AND reason = ?3")?
        .query_row(
            params![key(range.first), key(range.last.saturating_add(1)), reason],
            |row| row.get(0),
        )?;
    if let Some(last) = after {
        joined.last = joined.last.max(sequence(last));
    }
    connection
        .prepare_cached("DELETE FROM gap WHERE first BETWEEN ?1 AND ?2 AND reason = ?3")?
        .execute(params![key(joined.first), key(joined.last), reason])?;
    put(connection, joined, reason)
}

fn put(connection: &Connection, range: SequenceRange, reason: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO gap (first, last, reason, created_at_ms) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (first) DO UPDATE SET last = max(last, excluded.last)",
        )?
        .execute(params![
            key(range.first),
            key(range.last),
            reason,
            clock::now().get()
        ])
        .map(|_| ())
}

/// Merges the closest neighbours while there are too many records. The merged record has the first one's reason and also
/// covers sequences between them that did arrive: it may say too much was lost, never too little.
fn keep_bound(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("SELECT first, last FROM gap ORDER BY first")?;
    let records: Vec<(i64, i64)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let excess = records.len().saturating_sub(GAP_RECORDS);
    if excess == 0 {
        return Ok(());
    }
    let neighbours = records.iter().zip(records.iter().skip(1));
    let mut distances: Vec<(i64, i64)> = neighbours
        .map(|((_, last), (next, _))| (next.saturating_sub(*last), *next))
        .collect();
    distances.sort_unstable();
    let mut swallowed: Vec<i64> = distances.into_iter().take(excess).map(|(_, next)| next).collect();
    // Ascending, so that a record that swallows one after the other grows step by step.
    swallowed.sort_unstable();
    for next in swallowed {
        connection
            .prepare_cached(
                "UPDATE gap SET last = max(last, (SELECT last FROM gap WHERE first = ?1)) \
                 WHERE first = (SELECT max(first) FROM gap WHERE first < ?1)",
            )?
            .execute([next])?;
        connection
            .prepare_cached("DELETE FROM gap WHERE first = ?1")?
            .execute([next])?;
    }
    Ok(())
}

/// The records, by sequence; at most what one report may carry.
pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<Gap>> {
    let mut statement =
        connection.prepare_cached("SELECT first, last, reason FROM gap ORDER BY first LIMIT ?1")?;
    let rows = statement.query_map([key(GAP_RECORDS as u64)], |row| {
        Ok(Gap {
            first: sequence(row.get(0)?),
            last: sequence(row.get(1)?),
            reason: row.get_ref(2)?.as_str().map_or(GapReason::Corrupt, parse_reason),
        })
    })?;
    rows.collect()
}

/// Removes what a gateway has taken. A record that grew since it was sent keeps the part the gateway has not seen.
/// Returns how many of `sent` were removed, wholly or in part.
pub(super) fn remove(connection: &Connection, sent: &[Gap]) -> rusqlite::Result<u64> {
    let mut removed = 0;
    for gap in sent {
        let overlapping = overlapping(connection, gap)?;
        removed += u64::from(!overlapping.is_empty());
        for range in overlapping {
            connection
                .prepare_cached("DELETE FROM gap WHERE first = ?1")?
                .execute([key(range.first)])?;
            if range.first < gap.first {
                let rest = SequenceRange {
                    first: range.first,
                    last: gap.first - 1,
                };
                put(connection, rest, reason_text(gap.reason))?;
            }
            if range.last > gap.last {
                let rest = SequenceRange {
                    first: gap.last + 1,
                    last: range.last,
                };
                put(connection, rest, reason_text(gap.reason))?;
            }
        }
    }
    Ok(removed)
}

/// Takes out what arrived after all: rows that had to leave the queue while their report was on its way. Returns the
/// parts of records of the reason QueueFull that it took out.
pub(super) fn take_out(
    connection: &Connection,
    arrived: SequenceRange,
) -> rusqlite::Result<Vec<SequenceRange>> {
    let about = |reason| Gap {
        first: arrived.first,
        last: arrived.last,
        reason,
    };
    let pushed_out = overlapping(connection, &about(GapReason::QueueFull))?;
    let lost = [GapReason::QueueFull, GapReason::Purged, GapReason::Corrupt].map(about);
    if remove(connection, &lost)? > 0 {
        // A record cut in the middle is two.
        keep_bound(connection)?;
    }
    let within = |range: SequenceRange| SequenceRange {
        first: range.first.max(arrived.first),
        last: range.last.min(arrived.last),
    };
    Ok(pushed_out.into_iter().map(within).collect())
}

fn overlapping(connection: &Connection, gap: &Gap) -> rusqlite::Result<Vec<SequenceRange>> {
    let mut statement = connection
        .prepare_cached("SELECT first, last FROM gap WHERE first <= ?2 AND last >= ?1 AND reason = ?3")?;
    let found = statement.query_map(
        params![key(gap.first), key(gap.last), reason_text(gap.reason)],
        |row| {
            Ok(SequenceRange {
                first: sequence(row.get(0)?),
                last: sequence(row.get(1)?),
            })
        },
    )?;
    found.collect()
}

/// The lowest sequence that any record names.
pub(super) fn lowest(connection: &Connection) -> rusqlite::Result<Option<Sequence>> {
    let lowest: Option<i64> = connection.query_row("SELECT min(first) FROM gap", [], |row| row.get(0))?;
    Ok(lowest.map(sequence))
}
