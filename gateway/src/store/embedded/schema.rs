//! The file's layout (docs/storage-gateway.md). Version 1; a change makes version 2 and a migration, never an edit.

use crate::store::observation::{CLOCKS, STATES};

/// `PRAGMA application_id`: "Apog" in ASCII, so that a gateway never takes another program's database for its own.
pub(super) const APPLICATION_ID: i64 = 0x4170_6f67;
/// `PRAGMA user_version` of this layout.
pub(super) const VERSION: i64 = 1;

const TABLES: &str = r"
-- One counter for every object: the resourceVersion of the latest write, as etcd's revision is.
-- `compacted` is the greatest resourceVersion whose tombstone has been removed.
CREATE TABLE revision (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    value     INTEGER NOT NULL,
    compacted INTEGER NOT NULL
) STRICT;
INSERT INTO revision VALUES (1, 0, 0);

-- Devices (namespace '') and DeviceProcesses. A deleted object stays for a while as a tombstone (deleted_at_ms set,
-- spec and status emptied) so that other processes' watches learn of the deletion.
CREATE TABLE objects (
    kind             TEXT NOT NULL,
    namespace        TEXT NOT NULL,
    name             TEXT NOT NULL,
    device           TEXT,
    uid              TEXT NOT NULL,
    resource_version INTEGER NOT NULL,
    generation       INTEGER NOT NULL,
    created_at_ms    INTEGER NOT NULL,
    deleted_at_ms    INTEGER,
    labels_json      TEXT NOT NULL,
    annotations_json TEXT NOT NULL,
    spec_json        TEXT NOT NULL,
    status_json      TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)
) STRICT;
CREATE UNIQUE INDEX objects_by_version ON objects (resource_version);
CREATE INDEX objects_by_device ON objects (device) WHERE device IS NOT NULL;
CREATE INDEX objects_deleted ON objects (deleted_at_ms) WHERE deleted_at_ms IS NOT NULL;

-- Names that history rows refer to by number: a row is a third shorter without them.
CREATE TABLE instances (
    id       INTEGER PRIMARY KEY,
    device   TEXT NOT NULL,
    instance TEXT NOT NULL,
    epoch    INTEGER NOT NULL,
    UNIQUE (device, instance)
) STRICT;
CREATE INDEX instances_in_order ON instances (device, epoch, id);
CREATE TABLE history_processes (
    id      INTEGER PRIMARY KEY,
    process TEXT NOT NULL UNIQUE
) STRICT;

-- The set of observations, keyed by (device, instance, sequence). The table is its own index.
CREATE TABLE history (
    instance_id     INTEGER NOT NULL,
    sequence        INTEGER NOT NULL,
    process_id      INTEGER NOT NULL,
    observed_at_ms  INTEGER NOT NULL,
    corrected_at_ms INTEGER,
    received_at_ms  INTEGER NOT NULL,
    clock           INTEGER NOT NULL,
    state           INTEGER,
    spec_hash       BLOB,
    pid             INTEGER,
    exit_code       INTEGER,
    restarts        INTEGER,
    reason          TEXT NOT NULL,
    message         TEXT NOT NULL,
    values_json     TEXT,
    orphaned        INTEGER NOT NULL,
    PRIMARY KEY (instance_id, sequence)
) STRICT, WITHOUT ROWID;

-- Ranges of sequences that will never arrive.
CREATE TABLE history_gaps (
    instance_id    INTEGER NOT NULL,
    first          INTEGER NOT NULL,
    last           INTEGER NOT NULL,
    reason         TEXT NOT NULL,
    received_at_ms INTEGER NOT NULL,
    PRIMARY KEY (instance_id, first, last)
) STRICT, WITHOUT ROWID;
";

/// ISO-8601 UTC text of a column of milliseconds, exact also before 1970. Integer arithmetic only: `%f` of a fraction
/// made by division may round to the neighbouring millisecond.
fn iso(column: &str) -> String {
    format!(
        "strftime('%Y-%m-%dT%H:%M:%S', ({column} - (({column} % 1000) + 1000) % 1000) / 1000, 'unixepoch') \
         || printf('.%03dZ', (({column} % 1000) + 1000) % 1000)"
    )
}

/// The names of `list` for the numbers of a column.
fn names(column: &str, list: &[&str]) -> String {
    let cases: Vec<String> = list
        .iter()
        .enumerate()
        .map(|(number, name)| format!("WHEN {number} THEN '{name}'"))
        .collect();
    format!("CASE {column} {} END", cases.join(" "))
}

/// The stable views of the contract: names and columns here are an interface, columns are only ever added at the end.
fn views() -> String {
    format!(
        r"
CREATE VIEW devices AS
SELECT name, json_extract(status_json, '$.state') AS state,
    json_extract(status_json, '$.lastHeartbeatTime') AS last_heartbeat,
    json_extract(status_json, '$.nextContactTime') AS next_contact,
    json_extract(status_json, '$.agentVersion') AS agent_version,
    json_extract(status_json, '$.queue.pending') AS pending,
    json_extract(status_json, '$.queue.dropped') AS dropped,
    json_extract(status_json, '$.clockSkewMs') AS clock_skew_ms,
    coalesce(json_extract(spec_json, '$.blocked'), 0) AS blocked,
    json_extract(spec_json, '$.staleAfter') AS stale_after,
    generation, resource_version, {created} AS created_at, labels_json, spec_json, status_json
FROM objects WHERE kind = 'Device' AND deleted_at_ms IS NULL;

CREATE VIEW device_processes AS
SELECT namespace, name, device, json_extract(status_json, '$.state') AS state,
    json_extract(status_json, '$.restarts') AS restarts,
    json_extract(status_json, '$.reason') AS reason,
    json_extract(status_json, '$.message') AS message,
    json_extract(status_json, '$.lastObservedTime') AS last_observed,
    json_extract(status_json, '$.sync.epoch') AS epoch,
    json_extract(status_json, '$.sync.sequence') AS sequence,
    generation, resource_version, {created} AS created_at, labels_json, spec_json, status_json
FROM objects WHERE kind = 'DeviceProcess' AND deleted_at_ms IS NULL;

CREATE VIEW observations AS
SELECT i.device, i.epoch, i.instance, h.sequence AS seq, p.process,
    {observed} AS observed_at, {corrected} AS corrected_at, {received} AS received_at,
    {clock} AS clock, {state} AS state, nullif(lower(hex(h.spec_hash)), '') AS spec_hash, h.reason, h.message,
    coalesce(h.values_json, '{{}}') AS values_json, h.orphaned, h.pid, h.exit_code, h.restarts
FROM history h JOIN instances i ON i.id = h.instance_id JOIN history_processes p ON p.id = h.process_id;

CREATE VIEW gaps AS
SELECT i.device, i.epoch, i.instance, g.first, g.last, g.reason, {gap_received} AS received_at
FROM history_gaps g JOIN instances i ON i.id = g.instance_id;
",
        created = iso("created_at_ms"),
        observed = iso("h.observed_at_ms"),
        corrected = iso("h.corrected_at_ms"),
        received = iso("h.received_at_ms"),
        gap_received = iso("g.received_at_ms"),
        clock = names("h.clock", &CLOCKS),
        state = names("h.state", &STATES),
    )
}

/// Everything a new file gets, in one transaction that the caller opens.
pub(super) fn create() -> String {
    format!(
        "{TABLES}{}PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};",
        views()
    )
}
