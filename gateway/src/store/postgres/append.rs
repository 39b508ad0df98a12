//! Adding to history: all of one report for one instance, in one transaction.

use std::collections::HashMap;

use apollo_gateway_core::store::{HistoryRow, OnConflict, StoreReply};
use apollo_wire::{DeviceName, Epoch, Gap, InstanceId, Sequence, UnixMillis};
use deadpool_postgres::{ClientWrapper, Transaction};
use tokio_postgres::{IsolationLevel, error::SqlState, types::ToSql};
use uuid::Uuid;

use super::{columns::Columns, error::HistoryError, gaps};

/// Most rows in one statement: its arrays stay below 5 MB with every text at its bound, and a report of the largest size
/// is ten of them.
const ROWS_AT_ONCE: usize = 1_000;
/// Attempts at a transaction that Postgres undid for the sake of another one. Appends of one instance wait for each other
/// in one order, so the first should do; retention or an administrator's statement may come across.
const ATTEMPTS: u32 = 3;

/// Takes the lock of a life: from here to the commit nobody else adds to it or removes from it, and each statement sees
/// all that was committed before (READ COMMITTED takes a snapshot for each).
const LOCK: &str = "SELECT epoch, removed_through FROM apollo.instances WHERE device = $1 AND instance = $2 FOR NO KEY UPDATE";
const MEET: &str = "INSERT INTO apollo.instances (device, instance, epoch) VALUES ($1, $2, $3) \
     ON CONFLICT (device, instance) DO NOTHING";
const SET_EPOCH: &str = "UPDATE apollo.instances SET epoch = $3 WHERE device = $1 AND instance = $2";
/// One seek to the end of a life's part of the key; `max` would be the same only to a planner that knows the table.
const HIGHEST: &str = "SELECT sequence FROM apollo.history WHERE device = $1 AND instance = $2 \
     ORDER BY sequence DESC LIMIT 1";

/// Adds rows: one result row for each, its sequence and NULL if it was added; else whether the stored row says the same
/// (the columns of `HistoryRow::says_the_same`). LATERAL with LIMIT is one seek in the key for each, whatever the
/// planner believes of the table.
pub(super) const ADD: &str = "\
WITH given AS (
    SELECT * FROM unnest($4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::smallint[], $9::smallint[],
        $10::bytea[], $11::bigint[], $12::integer[], $13::bigint[], $14::text[], $15::text[], $16::text[], $17::text[],
        $18::boolean[])
    AS given (sequence, process, observed_at_ms, corrected_at_ms, clock, state, spec_hash, pid, exit_code, restarts,
        reason, message, values_json, exact_json, orphaned)
), added AS (
    INSERT INTO apollo.history (device, instance, received_at_ms, sequence, process, observed_at_ms, corrected_at_ms,
        clock, state, spec_hash, pid, exit_code, restarts, reason, message, values_json, exact_json, orphaned)
    SELECT $1, $2, $3, given.* FROM given
    ON CONFLICT (device, instance, sequence) DO NOTHING
    RETURNING sequence
)
SELECT sequence, NULL::boolean FROM added
UNION ALL
SELECT g.sequence, stored.same FROM given g CROSS JOIN LATERAL (
    SELECT h.process = g.process AND h.observed_at_ms = g.observed_at_ms AND h.state IS NOT DISTINCT FROM g.state
        AND h.spec_hash IS NOT DISTINCT FROM g.spec_hash AND h.pid IS NOT DISTINCT FROM g.pid
        AND h.exit_code IS NOT DISTINCT FROM g.exit_code AND h.restarts IS NOT DISTINCT FROM g.restarts
        AND h.reason = g.reason AND h.message = g.message AND h.values_json IS NOT DISTINCT FROM g.values_json
        AND h.exact_json IS NOT DISTINCT FROM g.exact_json AS same
    FROM apollo.history h WHERE h.device = $1 AND h.instance = $2 AND h.sequence = g.sequence LIMIT 1
) stored";

/// One append: all of one report for one instance.
pub(super) struct Append {
    /// Whose.
    pub device: DeviceName,
    /// Which life.
    pub instance: InstanceId,
    /// Its epoch.
    pub epoch: Epoch,
    /// When the gateway received it.
    pub received_at: UnixMillis,
    /// The observations.
    pub rows: Vec<HistoryRow>,
    /// Ranges the device had to drop.
    pub gaps: Vec<Gap>,
    /// What to do about a sequence that is there already.
    pub on_conflict: OnConflict,
}

/// A life whose lock this transaction has.
pub(super) struct Life<'a> {
    /// The transaction.
    pub transaction: &'a Transaction<'a>,
    /// Whose.
    pub device: &'a str,
    /// Which.
    pub instance: Uuid,
}

impl Append {
    /// Adds what is not there yet. [`HistoryError::Diverged`] if a row that must say the same does not: nothing of the
    /// append stands then.
    pub(super) async fn run(&self, client: &mut ClientWrapper) -> Result<StoreReply, HistoryError> {
        let mut attempt = 1;
        loop {
            match self.attempt(client).await {
                Err(HistoryError::Postgres(error)) if attempt < ATTEMPTS && is_undone(&error) => attempt += 1,
                done => return done,
            }
        }
    }

    async fn attempt(&self, client: &mut ClientWrapper) -> Result<StoreReply, HistoryError> {
        let begin = client.build_transaction();
        let transaction = begin
            .isolation_level(IsolationLevel::ReadCommitted)
            .start()
            .await?;
        let life = Life {
            transaction: &transaction,
            device: self.device.as_str(),
            instance: Uuid::from_bytes(*self.instance.as_bytes()),
        };
        let removed_through = self.lock(&life).await?;
        let highest_before = life.highest().await?.max(removed_through);
        let done = self.add(&life, highest_before).await;
        match done {
            Ok(reply) => {
                transaction.commit().await?;
                Ok(reply)
            }
            Err(HistoryError::Diverged { highest }) => {
                transaction.rollback().await?;
                Err(HistoryError::Diverged { highest })
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the lock of the life, which is made at its first append. The epoch is the Device object's to say: a
    /// recreated Device counts anew. Returns up to where retention has removed rows.
    async fn lock(&self, life: &Life<'_>) -> Result<Sequence, HistoryError> {
        let epoch = i64::from(self.epoch);
        let lock = life.transaction.prepare_cached(LOCK).await?;
        let key: [&(dyn ToSql + Sync); 2] = [&life.device, &life.instance];
        let row = match life.transaction.query_opt(&lock, &key).await? {
            Some(row) => row,
            None => {
                let meet = life.transaction.prepare_cached(MEET).await?;
                let met: [&(dyn ToSql + Sync); 3] = [&life.device, &life.instance, &epoch];
                life.transaction.execute(&meet, &met).await?;
                life.transaction.query_one(&lock, &key).await?
            }
        };
        if row.try_get::<_, i64>(0)? != epoch {
            let set = life.transaction.prepare_cached(SET_EPOCH).await?;
            let known: [&(dyn ToSql + Sync); 3] = [&life.device, &life.instance, &epoch];
            life.transaction.execute(&set, &known).await?;
        }
        Ok(Sequence::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0))
    }

    async fn add(&self, life: &Life<'_>, highest_before: Sequence) -> Result<StoreReply, HistoryError> {
        let diverged = HistoryError::Diverged {
            highest: highest_before,
        };
        let strict = self.on_conflict == OnConflict::RefuseOther;
        let (firsts, repeats_say_the_same) = self.first_of_each();
        if strict && !repeats_say_the_same {
            return Err(diverged);
        }
        let mut added = HashMap::with_capacity(firsts.len());
        for rows in firsts.chunks(ROWS_AT_ONCE) {
            let answers = self.add_rows(life, rows).await?;
            for (sequence, stored_says_the_same) in answers {
                if strict && stored_says_the_same == Some(false) {
                    return Err(diverged);
                }
                added.insert(sequence, stored_says_the_same.is_none());
            }
        }
        gaps::add(life, &self.gaps, self.received_at).await?;
        let highest = firsts
            .last()
            .map_or(0, |row| row.observation.seq)
            .max(highest_before);
        // The first of several rows with one sequence is the one that was added.
        let new = self
            .rows
            .iter()
            .map(|row| added.insert(row.observation.seq, false).unwrap_or(false))
            .collect();
        Ok(StoreReply::HistoryAppended { new, highest })
    }

    /// The first row of each sequence, sorted, and whether the others with the same sequence say the same.
    fn first_of_each(&self) -> (Vec<&HistoryRow>, bool) {
        let mut rows: Vec<&HistoryRow> = self.rows.iter().collect();
        // Stable: of one sequence the first stays the first.
        rows.sort_by_key(|row| row.observation.seq);
        let mut same = true;
        rows.dedup_by(|later, first| {
            let repeats = later.observation.seq == first.observation.seq;
            same &= !repeats || later.says_the_same(first);
            repeats
        });
        (rows, same)
    }

    /// Which were added (`None`), and whether those that were there say the same.
    async fn add_rows(
        &self,
        life: &Life<'_>,
        rows: &[&HistoryRow],
    ) -> Result<Vec<(Sequence, Option<bool>)>, HistoryError> {
        let columns = Columns::of(rows)?;
        let received_at_ms = self.received_at.get();
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&life.device, &life.instance, &received_at_ms];
        parameters.extend(columns.parameters());
        let add = life.transaction.prepare_cached(ADD).await?;
        let answers = life.transaction.query(&add, &parameters).await?;
        // With the lock held each row either is there or is added.
        if answers.len() != columns.len() {
            return Err(HistoryError::Disturbed);
        }
        let read = answers.iter().map(|answer| {
            let sequence = Sequence::try_from(answer.try_get::<_, i64>(0)?);
            Ok((sequence.map_err(|_| HistoryError::Disturbed)?, answer.try_get(1)?))
        });
        read.collect()
    }
}

impl Life<'_> {
    /// The highest sequence that is there; 0 if none.
    async fn highest(&self) -> Result<Sequence, HistoryError> {
        let statement = self.transaction.prepare_cached(HIGHEST).await?;
        let key: [&(dyn ToSql + Sync); 2] = [&self.device, &self.instance];
        let Some(row) = self.transaction.query_opt(&statement, &key).await? else {
            return Ok(0);
        };
        Ok(Sequence::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0))
    }
}

/// Undone for the sake of another transaction: nothing of it stands.
fn is_undone(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE)
    )
}

#[cfg(test)]
mod tests {
    use apollo_wire::{Observation, ProcessRef};

    use super::*;

    fn append(said: &[(Sequence, &str)]) -> Append {
        let process = ProcessRef::new("default", "p").expect("a name");
        let row = |(seq, message): &(Sequence, &str)| {
            let mut observation = Observation::new(*seq, process.clone(), UnixMillis::default());
            observation.message = (*message).to_owned();
            HistoryRow {
                observation,
                corrected_at: None,
                orphaned: false,
            }
        };
        Append {
            device: "buoy".parse().expect("a name"),
            instance: InstanceId::from_bytes([1; 16]),
            epoch: 1,
            received_at: UnixMillis::default(),
            rows: said.iter().map(row).collect(),
            gaps: Vec::new(),
            on_conflict: OnConflict::RefuseOther,
        }
    }

    #[test]
    fn of_rows_with_one_sequence_the_first_counts_and_others_are_compared_with_it() {
        let texts = |append: &Append| {
            let (rows, same) = append.first_of_each();
            let texts: Vec<String> = rows.iter().map(|row| row.observation.message.clone()).collect();
            (texts.concat(), same)
        };
        assert_eq!(
            texts(&append(&[(3, "c"), (1, "a"), (2, "b"), (1, "a")])),
            ("abc".to_owned(), true)
        );
        assert_eq!(
            texts(&append(&[(1, "a"), (2, "b"), (1, "x")])),
            ("ab".to_owned(), false)
        );
        assert_eq!(texts(&append(&[])), (String::new(), true));
    }
}
