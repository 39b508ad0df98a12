//! Reading a store from outside the gateway, as `get` does: one connection, no threads, beside a running gateway.

use std::path::Path;

use apollo_wire::DeviceName;
use rusqlite::{Connection, named_params};

use super::{
    error::{OpenError, StoreError},
    objects, observations,
    open::{self, Missing},
    record::{COLUMNS, ObjectRecord},
};
use crate::{
    manifest::{Kind, ObjectKey},
    store::observation::{ObservationFilter, ObservationRecord},
};

/// Which objects of a kind. Every condition that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectFilter {
    /// In this namespace.
    pub namespace: Option<String>,
    /// Bound to this device; for Devices, this one itself.
    pub device: Option<DeviceName>,
}

/// One connection that only reads.
pub struct EmbeddedReader {
    connection: Connection,
}

impl EmbeddedReader {
    /// Opens an existing store.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = open::open(path, Missing::Refuse)?;
        connection
            .pragma_update(None, "query_only", true)
            .map_err(|source| OpenError::Unusable {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self { connection })
    }

    /// One object.
    pub fn object(&self, key: &ObjectKey) -> Result<Option<ObjectRecord>, StoreError> {
        objects::read(&self.connection, key)
    }

    /// Hands every object that passes the filter to `sink`, by namespace and name.
    pub fn each_object<E: From<StoreError>>(
        &self,
        kind: Kind,
        filter: &ObjectFilter,
        mut sink: impl FnMut(ObjectRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = format!(
            "SELECT {COLUMNS} FROM objects WHERE kind = :kind AND deleted_at_ms IS NULL \
             AND (:namespace IS NULL OR namespace = :namespace) AND (:device IS NULL OR coalesce(device, name) = :device) \
             ORDER BY namespace, name"
        );
        let mut statement = self.connection.prepare_cached(&sql).map_err(StoreError::from)?;
        let mut rows = statement
            .query(named_params! {
                ":kind": kind.as_str(),
                ":namespace": filter.namespace,
                ":device": filter.device.as_ref().map(DeviceName::as_str),
            })
            .map_err(StoreError::from)?;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            sink(ObjectRecord::read(row)?)?;
        }
        Ok(())
    }

    /// Hands every observation that passes the filter to `sink`, sorted by device, epoch and sequence. The whole
    /// reading sees one moment of the store.
    pub fn each_observation<E: From<StoreError>>(
        &self,
        filter: &ObservationFilter,
        sink: impl FnMut(ObservationRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        observations::each(&self.connection, filter, sink)
    }
}
