-- The agent's database, schema version 1. Described in docs/storage.md; the views are a contract, the tables are not.
-- Times are milliseconds since 1970-01-01T00:00:00Z (UTC), sizes are bytes.

-- Boots this device recorded observations in. A row of an earlier boot with a free clock has no usable time.
CREATE TABLE boot (
    id INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE
);

-- Pending observations. AUTOINCREMENT: a sequence is never handed out twice. Rows are never updated. `bytes` stands
-- before the long texts, so that summing it does not read them. No secondary index: every query goes by sequence.
CREATE TABLE observation (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    bytes INTEGER NOT NULL,
    process TEXT NOT NULL,
    observed_at_ms INTEGER NOT NULL,
    clock TEXT NOT NULL,
    boot INTEGER NOT NULL,
    uptime_ms INTEGER NOT NULL,
    state TEXT,
    spec_hash TEXT,
    pid INTEGER,
    exit_code INTEGER,
    restarts INTEGER,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    values_json TEXT
);

-- Observations a gateway refused: settled, kept for people.
CREATE TABLE dead_letter (
    seq INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL,
    process TEXT NOT NULL,
    observed_at_ms INTEGER NOT NULL,
    clock TEXT NOT NULL,
    boot INTEGER NOT NULL,
    uptime_ms INTEGER NOT NULL,
    state TEXT,
    spec_hash TEXT,
    pid INTEGER,
    exit_code INTEGER,
    restarts INTEGER,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    values_json TEXT,
    rejected_at_ms INTEGER NOT NULL,
    rejection TEXT NOT NULL,
    detail TEXT NOT NULL
);

-- Closed ranges of sequences that will never arrive, until a gateway has taken the record.
CREATE TABLE gap (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    reason TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
);

-- Unanswered attempts by range of sequences: one small row for a batch of thousands, instead of a write per row.
CREATE TABLE failed_attempt (
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (first, last)
) WITHOUT ROWID;

-- One row: who this database is, and the running totals of its queue.
CREATE TABLE queue_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    instance TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    pending_rows INTEGER NOT NULL DEFAULT 0,
    pending_bytes INTEGER NOT NULL DEFAULT 0,
    offered_through INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    dead_letters_dropped INTEGER NOT NULL DEFAULT 0,
    acked_total INTEGER NOT NULL DEFAULT 0,
    previous_instance TEXT,
    renewed_at_ms INTEGER,
    renewed_why TEXT
);

-- One row: how syncing goes. The byte counters belong to `traffic_day` (YYYY-MM-DD, UTC).
CREATE TABLE sync_progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_success_ms INTEGER,
    last_error TEXT,
    last_error_at_ms INTEGER,
    next_attempt_ms INTEGER,
    traffic_day TEXT,
    bytes_sent INTEGER NOT NULL DEFAULT 0,
    bytes_received INTEGER NOT NULL DEFAULT 0
);

-- The last desired document and its ETag, always written together. At most one row.
CREATE TABLE desired_document (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    etag TEXT NOT NULL,
    device TEXT NOT NULL,
    fetched_at_ms INTEGER NOT NULL
);

CREATE TABLE desired_process (
    position INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    spec_hash TEXT NOT NULL,
    spec TEXT NOT NULL
);

-- Children the supervisor started, so that it finds those left over after it was killed itself.
CREATE TABLE supervised_process (
    process TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    pid_start_ticks INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    spec_hash TEXT NOT NULL
) WITHOUT ROWID;

CREATE VIEW queue AS
SELECT seq,
       strftime('%Y-%m-%dT%H:%M:%fZ', observed_at_ms / 1000.0, 'unixepoch') AS observed_at,
       process, state, reason, message, clock,
       (SELECT coalesce(sum(count), 0) FROM failed_attempt
         WHERE first <= observation.seq AND last >= observation.seq) AS attempts,
       bytes
  FROM observation;

CREATE VIEW dead_letters AS
SELECT seq,
       strftime('%Y-%m-%dT%H:%M:%fZ', observed_at_ms / 1000.0, 'unixepoch') AS observed_at,
       process, reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', rejected_at_ms / 1000.0, 'unixepoch') AS rejected_at,
       rejection, detail
  FROM dead_letter;

CREATE VIEW gaps AS
SELECT first, last, reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', created_at_ms / 1000.0, 'unixepoch') AS created_at
  FROM gap;

CREATE VIEW desired AS
SELECT p.namespace || '/' || p.name AS process, p.generation, p.spec_hash, p.spec, d.etag,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.fetched_at_ms / 1000.0, 'unixepoch') AS fetched_at
  FROM desired_process p, desired_document d
 ORDER BY p.position;

CREATE VIEW sync_status (key, value) AS
SELECT 'instance', instance FROM queue_head
UNION ALL SELECT 'last_success', strftime('%Y-%m-%dT%H:%M:%fZ', last_success_ms / 1000.0, 'unixepoch') FROM sync_progress
UNION ALL SELECT 'last_error', last_error FROM sync_progress
UNION ALL SELECT 'last_error_at', strftime('%Y-%m-%dT%H:%M:%fZ', last_error_at_ms / 1000.0, 'unixepoch') FROM sync_progress
UNION ALL SELECT 'next_attempt', strftime('%Y-%m-%dT%H:%M:%fZ', next_attempt_ms / 1000.0, 'unixepoch') FROM sync_progress
UNION ALL SELECT 'acked_total', CAST(acked_total AS TEXT) FROM queue_head
UNION ALL SELECT 'bytes_sent_today', CAST(CASE traffic_day WHEN date('now') THEN bytes_sent ELSE 0 END AS TEXT) FROM sync_progress
UNION ALL SELECT 'bytes_received_today', CAST(CASE traffic_day WHEN date('now') THEN bytes_received ELSE 0 END AS TEXT) FROM sync_progress
UNION ALL SELECT 'pending', CAST(pending_rows AS TEXT) FROM queue_head
UNION ALL SELECT 'dropped', CAST(dropped AS TEXT) FROM queue_head
UNION ALL SELECT 'dead_letters_dropped', CAST(dead_letters_dropped AS TEXT) FROM queue_head
UNION ALL SELECT 'offered_through', CAST(offered_through AS TEXT) FROM queue_head
UNION ALL SELECT 'previous_instance', previous_instance FROM queue_head
UNION ALL SELECT 'renewed_at', strftime('%Y-%m-%dT%H:%M:%fZ', renewed_at_ms / 1000.0, 'unixepoch') FROM queue_head
UNION ALL SELECT 'renewed_why', renewed_why FROM queue_head;
