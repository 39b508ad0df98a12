//! Every bound of the queue, each with its reason.

use std::time::Duration;

/// How much the queue may hold. Rows over either bound push out the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most pending rows. At least one row is always kept, so that the newest observation has a place.
    pub max_rows: u64,
    /// Most bytes of pending rows, counted as the column `bytes` of the view `queue` does.
    pub max_bytes: u64,
}

impl Default for QueueLimits {
    /// 100,000 rows: ten weeks of one observation a minute. 64 MiB: fits the smallest flash such devices ship with.
    fn default() -> Self {
        Self {
            max_rows: 100_000,
            max_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Counted for each row on top of its texts: its numbers, record header and share of the b-tree. Measured at 43 bytes
/// for rows of a supervisor's samples; rounded up, so that the file stays below what is counted.
pub(super) const ROW_OVERHEAD_BYTES: usize = 48;

/// Most gap records kept: what one report may carry. Beyond it the two closest neighbours merge.
pub(super) const GAP_RECORDS: usize = apollo_wire::limits::GAPS;

/// Most dead letters kept. They are for people, who read the newest; 1,000 of the largest are 5 MiB. The oldest go
/// first and are counted in `dead_letters_dropped`: the gateway has counted and logged each refusal already.
pub(super) const DEAD_LETTERS: u64 = 1_000;

/// Most ranges of failed attempts kept. They only feed the column `attempts`; beyond it the oldest is forgotten.
pub(super) const FAILED_ATTEMPTS: u64 = 64;

/// Longest `last_error` and `renewed_why` kept, bytes: a line on a terminal, not a dump.
pub(super) const NOTE_BYTES: usize = 512;

/// How long a write waits for another process's transaction. Transactions last milliseconds; a flash card that erases
/// a block can stall for a second or two.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The write-ahead log is checkpointed at this many pages of 4 KiB, by whoever commits then. SQLite's own 1,000 would do
/// for a long-running process; but a lone `observe` reads the whole log first, and 1 MiB is read in less than a sync.
pub(super) const WAL_CHECKPOINT_PAGES: u32 = 250;

/// SQLite's page size: its default, never changed by the agent.
pub(super) const PAGE_BYTES: u64 = 4096;

/// The write-ahead log is cut to this when it starts anew, bytes: more is a leftover of one large transaction or of a
/// long reader.
pub(super) const WAL_KEPT_BYTES: u32 = 4 * 1024 * 1024;
