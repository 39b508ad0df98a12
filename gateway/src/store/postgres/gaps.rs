//! Ranges of sequences that will never arrive.

use std::collections::BTreeMap;

use apollo_wire::{Gap, UnixMillis};
use tokio_postgres::types::ToSql;

use super::{append::Life, columns::signed, error::HistoryError};
use crate::store::observation::gap_reason;

/// Records that begin where one of the given begins.
const READ: &str = "\
SELECT g.first, g.last, g.reason, g.received_at_ms FROM unnest($3::bigint[]) AS given (first)
CROSS JOIN LATERAL (
    SELECT * FROM apollo.history_gaps g WHERE g.device = $1 AND g.instance = $2 AND g.first = given.first OFFSET 0
) g";
const REMOVE: &str = "DELETE FROM apollo.history_gaps g USING unnest($3::bigint[], $4::bigint[]) AS old (first, last) \
     WHERE g.device = $1 AND g.instance = $2 AND g.first = old.first AND g.last = old.last";
const ADD: &str = "INSERT INTO apollo.history_gaps (device, instance, first, last, reason, received_at_ms) \
     SELECT $1, $2, * FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::bigint[])";

/// The ends of a record.
type Range = (i64, i64);

/// What is kept beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    reason: String,
    received_at_ms: i64,
}

/// Adds what is not there yet. The lock of the life is held, so what is read stays as it is.
pub(super) async fn add(life: &Life<'_>, gaps: &[Gap], received_at: UnixMillis) -> Result<(), HistoryError> {
    if gaps.is_empty() {
        return Ok(());
    }
    let before = read(life, gaps).await?;
    let mut after = before.clone();
    for gap in gaps {
        let range = (signed(gap.first)?, signed(gap.last)?);
        let record = Record {
            reason: gap_reason(gap.reason).to_owned(),
            received_at_ms: received_at.get(),
        };
        insert(&mut after, range, record);
    }
    let (firsts, lasts): (Vec<i64>, Vec<i64>) = only_in(&before, &after).map(|(range, _)| *range).unzip();
    if !firsts.is_empty() {
        let statement = life.transaction.prepare_cached(REMOVE).await?;
        let old: [&(dyn ToSql + Sync); 4] = [&life.device, &life.instance, &firsts, &lasts];
        life.transaction.execute(&statement, &old).await?;
    }
    let new: Vec<(&Range, &Record)> = only_in(&after, &before).collect();
    if new.is_empty() {
        return Ok(());
    }
    let (firsts, lasts): (Vec<i64>, Vec<i64>) = new.iter().map(|(range, _)| **range).unzip();
    let reasons: Vec<&str> = new.iter().map(|(_, record)| record.reason.as_str()).collect();
    let received: Vec<i64> = new.iter().map(|(_, record)| record.received_at_ms).collect();
    let statement = life.transaction.prepare_cached(ADD).await?;
    let new: [&(dyn ToSql + Sync); 6] = [&life.device, &life.instance, &firsts, &lasts, &reasons, &received];
    life.transaction.execute(&statement, &new).await?;
    Ok(())
}

async fn read(life: &Life<'_>, gaps: &[Gap]) -> Result<BTreeMap<Range, Record>, HistoryError> {
    let firsts: Vec<i64> = gaps
        .iter()
        .map(|gap| signed(gap.first))
        .collect::<Result<_, _>>()?;
    let statement = life.transaction.prepare_cached(READ).await?;
    let rows = life
        .transaction
        .query(&statement, &[&life.device, &life.instance, &firsts])
        .await?;
    let records = rows.iter().map(|row| {
        let record = Record {
            reason: row.try_get(2)?,
            received_at_ms: row.try_get(3)?,
        };
        Ok(((row.try_get(0)?, row.try_get(1)?), record))
    });
    records.collect()
}

/// The records that `others` do not have. One that grew may leave its range to another reason: that is another record.
fn only_in<'a>(
    records: &'a BTreeMap<Range, Record>,
    others: &'a BTreeMap<Range, Record>,
) -> impl Iterator<Item = (&'a Range, &'a Record)> {
    records
        .iter()
        .filter(|(range, record)| others.get(*range) != Some(*record))
}

/// A record that grew while its reply was lost comes again with the same beginning: it is one record, and its longest form
/// counts, so that no lost sequence is told twice. The same range may be there for another reason; then that one has said
/// it.
fn insert(records: &mut BTreeMap<Range, Record>, (first, last): Range, record: Record) {
    let same_beginning = records.range((first, i64::MIN)..=(first, i64::MAX));
    let known = same_beginning
        .filter(|(_, known)| known.reason == record.reason)
        .map(|((_, last), _)| *last)
        .max();
    match known {
        Some(known) if known >= last || records.contains_key(&(first, last)) => {}
        Some(known) => {
            // It stays the record that was first received.
            if let Some(grown) = records.remove(&(first, known)) {
                records.insert((first, last), grown);
            }
        }
        None => {
            records.entry((first, last)).or_insert(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(reason: &str, received_at_ms: i64) -> Record {
        Record {
            reason: reason.to_owned(),
            received_at_ms,
        }
    }

    #[test]
    fn r09_a_record_that_grew_is_one_and_another_reason_is_another() {
        let mut records = BTreeMap::new();
        for (last, reason, ms) in [
            (9, "QueueFull", 0),
            (12, "QueueFull", 1),
            (5, "Purged", 2),
            (9, "QueueFull", 3),
            (12, "Purged", 4),
        ] {
            insert(&mut records, (3, last), record(reason, ms));
        }
        let left = [((3, 5), record("Purged", 2)), ((3, 12), record("QueueFull", 0))];
        assert_eq!(records, BTreeMap::from(left));
    }

    #[test]
    fn a_range_that_changes_hands_is_removed_and_added() {
        let before = BTreeMap::from([((2, 4), record("Purged", 0)), ((7, 8), record("Corrupt", 0))]);
        let mut after = before.clone();
        insert(&mut after, (2, 5), record("Purged", 1));
        insert(&mut after, (2, 4), record("QueueFull", 1));
        let ranges = |one, other| only_in(one, other).map(|(range, _)| *range).collect::<Vec<_>>();
        assert_eq!(ranges(&before, &after), [(2, 4)]);
        assert_eq!(ranges(&after, &before), [(2, 4), (2, 5)]);
    }
}
