//! What the engine is told and what it asks for.

use std::time::Duration;

use apollo_wire::{DesiredState, DeviceName, Sequence, Verdicts};

use super::state::ExchangeId;
use crate::time::Monotonic;

/// What the engine knows at its start.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Start {
    /// The clock's reading.
    pub now: Monotonic,
    /// The device's own name, from its certificate: a desired document for another one is refused.
    pub device: DeviceName,
    /// Rows waiting.
    pub pending: u64,
    /// Where jitter comes from; any number the operating system calls random.
    pub jitter_seed: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// The queue's depth changed.
    Queued {
        /// Rows waiting now.
        pending: u64,
    },
    /// The time of [`super::Engine::poll_timeout`] has come.
    TimerFired,
    /// An exchange is over, one way or another.
    Exchanged(Exchanged),
    /// The verdicts are on disk.
    Settled {
        /// Of which exchange.
        id: ExchangeId,
        /// Rows of the batch that the verdicts named, whether they were still in the queue or not.
        settled: u64,
        /// Rows waiting now.
        pending: u64,
    },
    /// The verdicts could not be written. The rows are still there and will be sent again.
    SettleFailed {
        /// Of which exchange.
        id: ExchangeId,
        /// Why, for people.
        message: String,
    },
    /// The queue has a new instance.
    Renewed {
        /// The exchange that asked for it.
        id: ExchangeId,
        /// Rows waiting now.
        pending: u64,
    },
    /// The new instance could not be written.
    RenewFailed {
        /// The exchange that asked for it.
        id: ExchangeId,
        /// Why, for people.
        message: String,
    },
    /// The process is asked to end: one last attempt, then [`Effect::Stop`].
    Shutdown,
}

/// The result of one exchange: the report's and the poll's, for each may fail alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Exchanged {
    /// Which exchange.
    pub id: ExchangeId,
    /// What had been read from the queue for it; `None` if it failed before that.
    pub batch: Option<Batch>,
    /// What became of the report.
    pub report: Result<Verdicts, Failure>,
    /// What became of the poll.
    pub desired: DesiredOutcome,
}

/// Facts about the batch of one exchange, read in the transaction that took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Rows in it.
    pub rows: u32,
    /// Whether more rows waited than it could hold.
    pub more: bool,
    /// The sequence the queue would have given to the next row.
    pub next_sequence: Sequence,
    /// The highest sequence ever offered to a gateway before this exchange; 0 if none.
    pub offered_through: Sequence,
}

/// What became of the poll.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DesiredOutcome {
    /// There was none.
    NotAsked,
    /// 304: nothing changed. The stored ETag stays, whether the reply repeats it or not.
    NotModified,
    /// 200: a new document.
    Changed(Document),
    /// No usable reply.
    Failed(Failure),
}

/// A desired document with its ETag; the two are kept together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Document {
    /// The ETag header, if the reply had one.
    pub etag: Option<String>,
    /// The document.
    pub desired: DesiredState,
}

/// Why a request brought nothing usable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// When the gateway says to come back.
    pub retry_after: Option<Duration>,
    /// The details, for people.
    pub message: String,
}

impl Failure {
    /// A failure that says nothing about when to come back.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            retry_after: None,
            message: message.into(),
        }
    }
}

/// The kinds of failure that the engine treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection: name resolution, no route, no answer to the handshake.
    Unreachable,
    /// The connection or the handshake was refused: certificates, protocol.
    Rejected,
    /// Connected, but nothing came back in time, or the connection broke.
    Interrupted,
    /// An HTTP status that is neither success nor 413.
    Status(u16),
    /// 413: the report is too large for this gateway.
    TooLarge,
    /// A reply that cannot be understood, or that is larger than allowed.
    Malformed,
    /// The agent's own storage failed.
    Storage,
    /// Another process is syncing the same queue right now.
    Busy,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Take a batch from the queue, mark it as offered (on disk), send it, and report back as [`Exchanged`].
    StartExchange(StartExchange),
    /// Write the verdicts to the queue: acknowledged rows leave, refused ones become dead letters.
    Settle {
        /// Of which exchange.
        id: ExchangeId,
        /// The verdicts for the batch in flight.
        verdicts: Verdicts,
    },
    /// This queue is an old copy of itself: give it a new instance and re-number what is pending.
    RenewInstance {
        /// The exchange whose reply showed it.
        id: ExchangeId,
        /// What gave it away, for people.
        why: String,
    },
    /// Store the document and hand it to the supervisor.
    StoreDesired(Document),
    /// Write down how the last exchange went and when the next one is due.
    RecordStatus(Status),
    /// Write down that the next exchange is due earlier than was said.
    RecordPlan(Monotonic),
    /// End the driver.
    Stop,
}

/// How to do one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StartExchange {
    /// Which.
    pub id: ExchangeId,
    /// Most rows to take.
    pub max_rows: u32,
    /// Most bytes of rows to take (at least one row is taken).
    pub max_bytes: u64,
    /// Whether to poll the desired state beside the report.
    pub poll: bool,
    /// What to announce as the next contact; `None` when the process ends after this.
    pub next_contact_seconds: Option<u32>,
    /// Whether to name the agent's version: until a gateway has answered one report of this process.
    pub introduce: bool,
}

/// How the last exchange went, for `sync_status`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Status {
    /// Why it failed; `None` if it succeeded.
    pub failure: Option<Failure>,
    /// What went wrong beside a good report: a poll without a usable answer.
    pub warning: Option<String>,
    /// When the next attempt is due; `None` if none will be made.
    pub next_attempt: Option<Monotonic>,
}

impl Status {
    /// What to tell people, if anything went wrong.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        let failure = self.failure.as_ref().map(|failure| failure.message.as_str());
        failure.or(self.warning.as_deref())
    }
}
