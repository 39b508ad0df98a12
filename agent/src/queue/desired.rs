//! The last desired state, kept so that a reboot without a link runs it again.

use apollo_wire::{DesiredProcess, DesiredState, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use serde_json::value::RawValue;

use super::{Queue, StorageError, row};

/// A desired document as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDesired {
    /// The ETag it came with: what the next poll's `If-None-Match` says.
    pub etag: String,
    /// The document.
    pub document: DesiredState,
    /// When it was fetched, by the device's clock.
    pub fetched_at: UnixMillis,
}

impl Queue {
    /// The last stored document; none before the first.
    ///
    /// # Errors
    /// Any failure of SQLite, a row that cannot be read back.
    pub fn desired(&self) -> Result<Option<StoredDesired>, StorageError> {
        let read = || -> rusqlite::Result<Option<StoredDesired>> {
            let transaction = self.connection.unchecked_transaction()?;
            read(&transaction)
        };
        read().map_err(|source| StorageError::new("read the desired state", source))
    }

    /// Stores document and ETag together, in place of the last.
    ///
    /// # Errors
    /// Any failure of SQLite: the last document and its ETag stay.
    pub fn store_desired(
        &mut self,
        etag: &str,
        document: &DesiredState,
        fetched_at: UnixMillis,
    ) -> Result<(), StorageError> {
        let mut store = || -> rusqlite::Result<()> {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(
                "INSERT OR REPLACE INTO desired_document (id, etag, device, fetched_at_ms) VALUES (1, ?1, ?2, ?3)",
                params![etag, document.device.as_str(), fetched_at.get()],
            )?;
            transaction.execute("DELETE FROM desired_process", [])?;
            for (position, process) in (0_i64..).zip(&document.processes) {
                insert_process(&transaction, position, process)?;
            }
            transaction.commit()
        };
        store().map_err(|source| StorageError::new("store the desired state", source))
    }
}

fn insert_process(connection: &Connection, position: i64, process: &DesiredProcess) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO desired_process (position, namespace, name, generation, spec_hash, spec) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            position,
            process.namespace,
            process.name,
            process.generation,
            process.spec_hash.to_string(),
            process.spec.get(),
        ])
        .map(|_| ())
}

fn read(connection: &Connection) -> rusqlite::Result<Option<StoredDesired>> {
    let head = connection
        .query_row(
            "SELECT etag, device, fetched_at_ms FROM desired_document",
            [],
            |row| {
                let device: String = row.get(1)?;
                let device = device
                    .parse()
                    .map_err(|error: apollo_wire::NameError| row::unreadable(1, error))?;
                Ok((row.get(0)?, device, UnixMillis::saturating(row.get(2)?)))
            },
        )
        .optional()?;
    let Some((etag, device, fetched_at)) = head else {
        return Ok(None);
    };
    let mut statement = connection.prepare(
        "SELECT namespace, name, generation, spec_hash, spec FROM desired_process ORDER BY position",
    )?;
    let processes = statement
        .query_map([], read_process)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(StoredDesired {
        etag,
        document: DesiredState { device, processes },
        fetched_at,
    }))
}

fn read_process(row: &Row<'_>) -> rusqlite::Result<DesiredProcess> {
    let spec: String = row.get(4)?;
    Ok(DesiredProcess {
        namespace: row.get(0)?,
        name: row.get(1)?,
        generation: row.get(2)?,
        spec_hash: row
            .get_ref(3)?
            .as_str()?
            .parse()
            .map_err(|error: apollo_wire::SpecHashError| row::unreadable(3, error))?,
        spec: RawValue::from_string(spec).map_err(|error| row::unreadable(4, error))?,
    })
}
