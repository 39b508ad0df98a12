//! Leaving a test out when the machine lacks what it needs: loudly, and never in CI.

use std::io::Write;

use anyhow::bail;

/// With this set to 1, or `CI` to true, nothing may be left out.
pub const ENV_REQUIRE_ALL: &str = "APOLLO_REQUIRE_ALL";
/// Names a file that gets one line for each test left out; `tests/run` counts them.
pub const ENV_SKIPPED_FILE: &str = "APOLLO_SKIPPED_FILE";

/// Says that `test` is left out and why, or fails where nothing may be.
pub fn skip(test: &str, why: &str) -> anyhow::Result<()> {
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|set| set == value);
    if is("CI", "true") || is(ENV_REQUIRE_ALL, "1") {
        bail!("{test} cannot run: {why}");
    }
    let line = format!("LEFT OUT: {test}: {why}\n");
    // Not eprint!, which the test runner keeps to itself when a test passes.
    std::io::stderr().write_all(line.as_bytes())?;
    if let Some(path) = std::env::var_os(ENV_SKIPPED_FILE) {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?
            .write_all(line.as_bytes())?;
    }
    Ok(())
}
