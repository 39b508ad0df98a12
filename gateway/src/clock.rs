//! The wall clock, read in one place and passed on as values.

use apollo_wire::UnixMillis;

/// Now.
pub fn now() -> UnixMillis {
    UnixMillis::saturating(jiff::Timestamp::now().as_millisecond())
}
