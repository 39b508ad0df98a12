-- History of the gateway in Postgres, version 1 (docs/storage-postgres.md). A change makes version 2 and a file of its
-- own, never an edit of this one. The schema `apollo` exists when this runs, in one transaction.

-- Which of these files have been applied.
CREATE TABLE apollo.migrations (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- Lives of devices. An append locks the row of its life, so the appends of one life come one after the other.
-- removed_through: the highest sequence that retention has removed.
CREATE TABLE apollo.instances (
    device          text COLLATE "C" NOT NULL,
    instance        uuid   NOT NULL,
    epoch           bigint NOT NULL,
    removed_through bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (device, instance)
);
CREATE INDEX instances_in_order ON apollo.instances (device, epoch, instance);

-- The set of observations. States and clocks are positions in the lists that the views below spell out. Postgres keeps
-- no NUL in a text: where reason or message has one it is shown as U+2400, and exact_json keeps both as they were.
CREATE TABLE apollo.history (
    device          text COLLATE "C" NOT NULL,
    instance        uuid     NOT NULL,
    sequence        bigint   NOT NULL,
    process         text COLLATE "C" NOT NULL,
    observed_at_ms  bigint   NOT NULL,
    corrected_at_ms bigint,
    received_at_ms  bigint   NOT NULL,
    clock           smallint NOT NULL,
    state           smallint,
    spec_hash       bytea,
    pid             bigint,
    exit_code       integer,
    restarts        bigint,
    reason          text COLLATE "C" NOT NULL,
    message         text COLLATE "C" NOT NULL,
    values_json     text COLLATE "C",
    exact_json      text COLLATE "C",
    orphaned        boolean  NOT NULL,
    PRIMARY KEY (device, instance, sequence)
);
CREATE INDEX history_by_receipt ON apollo.history (received_at_ms);

-- Ranges of sequences that will never arrive.
CREATE TABLE apollo.history_gaps (
    device         text COLLATE "C" NOT NULL,
    instance       uuid   NOT NULL,
    first          bigint NOT NULL,
    last           bigint NOT NULL,
    reason         text COLLATE "C" NOT NULL,
    received_at_ms bigint NOT NULL,
    PRIMARY KEY (device, instance, first, last)
);
CREATE INDEX history_gaps_by_receipt ON apollo.history_gaps (received_at_ms);

-- ISO-8601 UTC text of milliseconds since 1970, exact: whole seconds and milliseconds are taken apart as integers. The
-- earliest times are those of the year 0000, which Postgres calls 1 BC.
CREATE FUNCTION apollo.iso_utc(ms bigint) RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN ms < -62135596800000 THEN '0000' ELSE to_char(moment, 'YYYY') END
        || to_char(moment, '-MM-DD"T"HH24:MI:SS.') || lpad(fraction::text, 3, '0') || 'Z'
    FROM (SELECT ((ms % 1000) + 1000) % 1000 AS fraction) f,
        LATERAL (SELECT timestamp '1970-01-01' + ((ms - fraction) / 1000) * interval '1 second' AS moment) t
$$;

-- The stable views: names and columns here are an interface, columns are only ever added at the end.
CREATE VIEW apollo.observations AS
SELECT h.device, i.epoch, h.instance::text AS instance, h.sequence AS seq, h.process,
    apollo.iso_utc(h.observed_at_ms) AS observed_at, apollo.iso_utc(h.corrected_at_ms) AS corrected_at,
    apollo.iso_utc(h.received_at_ms) AS received_at,
    CASE h.clock WHEN 0 THEN 'synced' WHEN 1 THEN 'unsynced' WHEN 2 THEN 'unknown' END AS clock,
    CASE h.state WHEN 0 THEN 'Pending' WHEN 1 THEN 'Running' WHEN 2 THEN 'Backoff' WHEN 3 THEN 'Succeeded'
        WHEN 4 THEN 'Failed' WHEN 5 THEN 'Stopped' END AS state,
    encode(h.spec_hash, 'hex') AS spec_hash, h.reason, h.message,
    coalesce(h.values_json, '{}') AS values_json, h.orphaned::integer AS orphaned, h.pid, h.exit_code, h.restarts
FROM apollo.history h JOIN apollo.instances i ON i.device = h.device AND i.instance = h.instance;

CREATE VIEW apollo.gaps AS
SELECT g.device, i.epoch, g.instance::text AS instance, g.first, g.last, g.reason,
    apollo.iso_utc(g.received_at_ms) AS received_at
FROM apollo.history_gaps g JOIN apollo.instances i ON i.device = g.device AND i.instance = g.instance;
