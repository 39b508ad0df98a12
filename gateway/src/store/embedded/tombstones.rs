//! Tombstones of deleted objects: kept long enough for every watch to see them, and no longer.

use apollo_wire::UnixMillis;
use rusqlite::Connection;

use super::error::StoreError;

/// How long a deletion is remembered: a watch that did not run for so long (a suspended laptop) is ended and begins anew.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// Most tombstones removed at one deletion: more than one, so that they run out, few, so that it stays quick.
const REMOVED_AT_ONCE: i64 = 100;

/// Oldest first, by the index on deletion.
pub(super) const REMOVE_OLD: &str = "DELETE FROM objects WHERE rowid IN (SELECT rowid FROM objects WHERE deleted_at_ms IS NOT NULL \
         AND deleted_at_ms < ?1 ORDER BY deleted_at_ms LIMIT ?2) RETURNING resource_version";

/// Removes tombstones older than that, oldest first, and notes up to where the change feed is no longer whole.
pub(super) fn remove_old(connection: &Connection, now: UnixMillis) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(REMOVE_OLD)?;
    let mut rows = statement.query([now.get() - KEPT_MS, REMOVED_AT_ONCE])?;
    let mut compacted = 0;
    while let Some(row) = rows.next()? {
        compacted = compacted.max(row.get::<_, i64>(0)?);
    }
    connection
        .prepare_cached("UPDATE revision SET compacted = max(compacted, ?1) WHERE only = 1")?
        .execute([compacted])?;
    Ok(())
}
