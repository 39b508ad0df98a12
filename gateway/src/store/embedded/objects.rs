//! Objects: reading by key and by device, creating, changing, deleting, and the compare-and-swap of a status.

use std::collections::HashSet;

use apollo_gateway_core::{
    object::{DeviceStatus, ResourceVersion},
    store::WriteOutcome,
};
use apollo_wire::{DeviceName, ProcessRef, UnixMillis};
use rusqlite::{Connection, OptionalExtension, named_params};
use serde::Serialize;

use super::{
    error::StoreError,
    record::{COLUMNS, ObjectRecord},
};
use crate::manifest::{Kind, Manifest, ObjectKey};

/// What `apply` did to an object, in kubectl's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It did not exist.
    Created,
    /// Its spec, labels or annotations changed.
    Configured,
    /// It was so already; nothing was written.
    Unchanged,
}

impl Applied {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

/// The query for one object.
pub(super) fn sql_one() -> String {
    format!(
        "SELECT {COLUMNS} FROM objects WHERE kind = :kind AND namespace = :namespace AND name = :name \
         AND deleted_at_ms IS NULL"
    )
}

/// The query for a device's DeviceProcesses.
pub(super) fn sql_bound() -> String {
    format!("SELECT {COLUMNS} FROM objects WHERE device = ?1 ORDER BY namespace, name")
}

/// One object, unless it does not exist (any more).
pub(super) fn read(connection: &Connection, key: &ObjectKey) -> Result<Option<ObjectRecord>, StoreError> {
    let mut statement = connection.prepare_cached(&sql_one())?;
    let mut rows = statement
        .query(named_params! {":kind": key.kind.as_str(), ":namespace": key.namespace, ":name": key.name})?;
    rows.next()?.map(ObjectRecord::read).transpose()
}

/// The DeviceProcesses bound to a device and those named, each once.
pub(super) fn bound_to_or_named(
    connection: &Connection,
    device: &DeviceName,
    named: &[ProcessRef],
) -> Result<Vec<ObjectRecord>, StoreError> {
    let mut records = bound_to(connection, device)?;
    let mut known: HashSet<ObjectKey> = records.iter().map(|record| record.key.clone()).collect();
    for process in named {
        let key = process_key(process);
        if known.insert(key.clone()) {
            records.extend(read(connection, &key)?);
        }
    }
    Ok(records)
}

/// Every DeviceProcess bound to a device: by the index on the device, whatever else the store holds.
fn bound_to(connection: &Connection, device: &DeviceName) -> Result<Vec<ObjectRecord>, StoreError> {
    let mut statement = connection.prepare_cached(&sql_bound())?;
    let mut rows = statement.query([device.as_str()])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(ObjectRecord::read(row)?);
    }
    Ok(records)
}

/// Creates the object, or brings spec, labels and annotations to what the manifest says. The status stays.
pub(super) fn apply(
    connection: &Connection,
    manifest: &Manifest,
    now: UnixMillis,
) -> Result<Applied, StoreError> {
    let Some(existing) = read(connection, &manifest.key)? else {
        insert(connection, manifest, "{}", now)?;
        return Ok(Applied::Created);
    };
    let same_spec = existing.spec_json() == manifest.spec.json();
    if same_spec && existing.labels()? == manifest.labels && existing.annotations()? == manifest.annotations {
        return Ok(Applied::Unchanged);
    }
    connection
        .prepare_cached(
            "UPDATE objects SET device = :device, resource_version = :version, generation = :generation, \
             labels_json = :labels, annotations_json = :annotations, spec_json = :spec \
             WHERE kind = :kind AND namespace = :namespace AND name = :name",
        )?
        .execute(named_params! {
            ":kind": manifest.key.kind.as_str(),
            ":namespace": manifest.key.namespace,
            ":name": manifest.key.name,
            ":device": manifest.device,
            ":version": next_version(connection)?,
            ":generation": existing.generation + i64::from(!same_spec),
            ":labels": json(&manifest.labels)?,
            ":annotations": json(&manifest.annotations)?,
            ":spec": manifest.spec.json(),
        })?;
    Ok(Applied::Configured)
}

/// Creates a Device with an empty spec and a first status.
pub(super) fn create_device(
    connection: &Connection,
    device: &DeviceName,
    status: &DeviceStatus,
    now: UnixMillis,
) -> Result<WriteOutcome, StoreError> {
    let manifest = Manifest::empty_device(device)?;
    if read(connection, &manifest.key)?.is_some() {
        return Ok(WriteOutcome::Conflict);
    }
    insert(connection, &manifest, &json(status)?, now).map(written)
}

fn insert(
    connection: &Connection,
    manifest: &Manifest,
    status_json: &str,
    now: UnixMillis,
) -> Result<i64, StoreError> {
    let version = next_version(connection)?;
    // REPLACE takes the place of the tombstone of an earlier object of that name; a live one was looked for before.
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO objects (kind, namespace, name, device, uid, resource_version, generation, \
             created_at_ms, labels_json, annotations_json, spec_json, status_json) \
             VALUES (:kind, :namespace, :name, :device, :uid, :version, 1, :now, :labels, :annotations, :spec, :status)",
        )?
        .execute(named_params! {
            ":kind": manifest.key.kind.as_str(),
            ":namespace": manifest.key.namespace,
            ":name": manifest.key.name,
            ":device": manifest.device,
            ":uid": uuid::Uuid::new_v4().to_string(),
            ":version": version,
            ":now": now.get(),
            ":labels": json(&manifest.labels)?,
            ":annotations": json(&manifest.annotations)?,
            ":spec": manifest.spec.json(),
            ":status": status_json,
        })?;
    Ok(version)
}

/// Replaces a status if the object is still at the version it was computed from. The spec is not touched.
pub(super) fn replace_status(
    connection: &Connection,
    key: &ObjectKey,
    expected: &ResourceVersion,
    status: &impl Serialize,
) -> Result<WriteOutcome, StoreError> {
    let current: Option<i64> = connection
        .prepare_cached(
            "SELECT resource_version FROM objects WHERE kind = :kind AND namespace = :namespace AND name = :name \
             AND deleted_at_ms IS NULL",
        )?
        .query_row(
            named_params! {":kind": key.kind.as_str(), ":namespace": key.namespace, ":name": key.name},
            |row| row.get(0),
        )
        .optional()?;
    // The transaction holds the write lock since BEGIN IMMEDIATE: nobody writes between this look and the update.
    match current {
        None => return Ok(WriteOutcome::Gone),
        Some(current) if current.to_string() != expected.0 => return Ok(WriteOutcome::Conflict),
        Some(_) => {}
    }
    let version = next_version(connection)?;
    connection
        .prepare_cached(
            "UPDATE objects SET status_json = :status, resource_version = :version \
             WHERE kind = :kind AND namespace = :namespace AND name = :name",
        )?
        .execute(named_params! {
            ":kind": key.kind.as_str(),
            ":namespace": key.namespace,
            ":name": key.name,
            ":status": json(status)?,
            ":version": version,
        })?;
    Ok(written(version))
}

/// Deletes an object, leaving a tombstone for the watches. False if there is none.
pub(super) fn delete(connection: &Connection, key: &ObjectKey, now: UnixMillis) -> Result<bool, StoreError> {
    if read(connection, key)?.is_none() {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "UPDATE objects SET deleted_at_ms = :now, resource_version = :version, device = NULL, \
             labels_json = '{}', annotations_json = '{}', spec_json = '{}', status_json = '{}' \
             WHERE kind = :kind AND namespace = :namespace AND name = :name",
        )?
        .execute(named_params! {
            ":kind": key.kind.as_str(),
            ":namespace": key.namespace,
            ":name": key.name,
            ":now": now.get(),
            ":version": next_version(connection)?,
        })?;
    Ok(true)
}

/// The next number of the file's one counter.
fn next_version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection
        .prepare_cached("UPDATE revision SET value = value + 1 WHERE only = 1 RETURNING value")?
        .query_row([], |row| row.get(0))?)
}

fn written(version: i64) -> WriteOutcome {
    WriteOutcome::Written(ResourceVersion(version.to_string()))
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::OutOfRange("a label, annotation or status"))
}

/// The key of a DeviceProcess.
pub(super) fn process_key(process: &ProcessRef) -> ObjectKey {
    ObjectKey {
        kind: Kind::DeviceProcess,
        namespace: process.namespace().to_owned(),
        name: process.name().to_owned(),
    }
}

/// The key of a Device.
pub(super) fn device_key(device: &DeviceName) -> ObjectKey {
    ObjectKey {
        kind: Kind::Device,
        namespace: String::new(),
        name: device.as_str().to_owned(),
    }
}
