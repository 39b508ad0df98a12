//! Removing what is older than it has to be kept, in batches that leave appends their turn.

use apollo_wire::UnixMillis;
use deadpool_postgres::ClientWrapper;

use super::error::HistoryError;

/// Most observations, and most gap records, removed in one transaction: the lives they are of are locked meanwhile, for a
/// few hundredths of a second.
pub(super) const ROWS_AT_ONCE: i64 = 2_000;
/// The advisory lock of whoever removes: "apollo" in ASCII and a number. Others skip their turn.
const LOCK: i64 = 0x6170_6f6c_6c6f_0002;

const TRY_LOCK: &str = "SELECT pg_try_advisory_xact_lock($1)";

/// The oldest rows of lives that nobody appends to at the moment, and a note of how far they went: the highest sequence of
/// a life never goes back.
const REMOVE: &str = "\
WITH oldest AS (
    SELECT device, instance, sequence FROM apollo.history WHERE received_at_ms < $1 ORDER BY received_at_ms LIMIT $2
), locked AS (
    SELECT device, instance FROM apollo.instances
    WHERE (device, instance) IN (SELECT DISTINCT device, instance FROM oldest)
    FOR NO KEY UPDATE SKIP LOCKED
), removed AS (
    DELETE FROM apollo.history h USING oldest o, locked l
    WHERE h.device = o.device AND h.instance = o.instance AND h.sequence = o.sequence
        AND l.device = o.device AND l.instance = o.instance
    RETURNING h.device, h.instance, h.sequence
), noted AS (
    UPDATE apollo.instances i SET removed_through = greatest(i.removed_through, r.highest)
    FROM (SELECT device, instance, max(sequence) AS highest FROM removed GROUP BY device, instance) r
    WHERE i.device = r.device AND i.instance = r.instance
)
SELECT count(*) FROM removed";

const REMOVE_GAPS: &str = "\
DELETE FROM apollo.history_gaps WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM apollo.history_gaps WHERE received_at_ms < $1 ORDER BY received_at_ms LIMIT $2
    FOR UPDATE SKIP LOCKED
))";

/// Removes at most a batch of what was received before `cutoff`: how many observations. 0 also if another replica is
/// at it.
pub(super) async fn remove(client: &mut ClientWrapper, cutoff: UnixMillis) -> Result<u64, HistoryError> {
    let transaction = client.transaction().await?;
    let lock = transaction.prepare_cached(TRY_LOCK).await?;
    if !transaction
        .query_one(&lock, &[&LOCK])
        .await?
        .try_get::<_, bool>(0)?
    {
        transaction.rollback().await?;
        return Ok(0);
    }
    let cutoff = cutoff.get();
    let statement = transaction.prepare_cached(REMOVE).await?;
    let row = transaction
        .query_one(&statement, &[&cutoff, &ROWS_AT_ONCE])
        .await?;
    let removed: i64 = row.try_get(0)?;
    let statement = transaction.prepare_cached(REMOVE_GAPS).await?;
    transaction.execute(&statement, &[&cutoff, &ROWS_AT_ONCE]).await?;
    transaction.commit().await?;
    Ok(u64::try_from(removed).unwrap_or(0))
}
