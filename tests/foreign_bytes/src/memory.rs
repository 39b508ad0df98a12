//! How much a decoder may hold at once, as a function of what it was given.

use allocation_counter::measure;

/// Bytes that any decoder may hold whatever it reads: tables, the beginnings of lists, the text of an error.
pub const BASE_BYTES: usize = 128 * 1024;

/// Runs `decode` and asserts that it never holds more than `max_bytes` of Rust's heap at once. What C libraries allocate
/// for themselves (zstd, SQLite) is not seen; libFuzzer's `-rss_limit_mb` covers that.
///
/// # Panics
/// If it holds more.
pub fn bounded<T>(max_bytes: usize, decode: impl FnOnce() -> T) -> T {
    let mut decoded = None;
    let spent = measure(|| decoded = Some(decode()));
    assert!(
        spent.bytes_max <= max_bytes as u64,
        "decoding held {} bytes at once, at most {max_bytes} are allowed",
        spent.bytes_max
    );
    decoded.expect("measuring runs it once")
}
