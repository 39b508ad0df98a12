//! Every bound on what one side may send the other, each with its reason.
//!
//! The numbers are part of the contract (`docs/wire.md`): a sender that keeps them is never refused as malformed.

/// Longest `message`, bytes. Room for one log line; longer text belongs in a log, not on a metered link.
pub const MESSAGE_BYTES: usize = 1024;
/// Longest `reason`, bytes. A reason is a CamelCase word that machines compare.
pub const REASON_BYTES: usize = 128;
/// Most `values` on one observation: a report row, not a metrics scrape.
pub const VALUES: usize = 32;
/// Longest name of one of the `values`, bytes: the length of a DNS label, so that names can become labels.
pub const VALUE_NAME_BYTES: usize = 63;
/// Sequences are below 2^63: SQLite's INTEGER PRIMARY KEY is a signed 64-bit number.
pub const SEQUENCE_MAX: u64 = (1 << 63) - 1;
/// Most observations in one report: bounds the work of one request and the gateway's one history transaction.
pub const OBSERVATIONS: usize = 10_000;
/// Most gap records in one report. Adjacent dropped ranges merge, so a healthy agent has one or two.
pub const GAPS: usize = 1_000;
/// Longest `agentVersion`, bytes.
pub const AGENT_VERSION_BYTES: usize = 64;
/// Longest DNS-1123 subdomain (RFC 1123, section 2.1): device names, object names.
pub const SUBDOMAIN_BYTES: usize = 253;
/// Longest DNS-1123 label: namespaces.
pub const LABEL_BYTES: usize = 63;
/// Most processes in one desired document: what one device can sensibly run, with room to spare.
pub const DESIRED_PROCESSES: usize = 1_000;
/// Longest canonical JSON of one `spec`, bytes. Kubernetes refuses objects over about 1.5 MiB; ours are far smaller.
pub const SPEC_BYTES: usize = 64 * 1024;
/// Least that a receiver must take as a report's body, bytes: whatever its own limit, a report of one observation with
/// every field at its bound and of [`GAPS`] gap records fits, in a frame (26 KiB at most: 21 bytes a gap, 4 KiB of texts)
/// and, without gaps, in JSON (20 KiB with every character escaped). So a sender that halves its batch at each 413 always
/// gets through, and no row can block the rows behind it.
pub const BODY_LIMIT_LEAST_BYTES: usize = 32 * 1024;
/// Largest frame after decompression, bytes. Compressed frames say their size first and are refused beyond it, so a
/// hostile frame cannot make the receiver allocate more than this.
pub const FRAME_DECODED_BYTES: usize = 16 * 1024 * 1024;
