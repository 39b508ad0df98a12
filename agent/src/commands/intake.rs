//! Reading observations from people and programs: one JSON object a line, with the report's field names.
//!
//! Strict, because a silently ignored typo is a lost field: an unknown field is an error. Only `seq` is read over, so
//! that an export can be read back in; the queue numbers the rows itself.

use std::io::{self, BufRead, Read};

use apollo_wire::{Clock, Defect, ProcessRef, ProcessState, SpecHash, UnixMillis, json::Measurements};
use serde::{Deserialize, de::IgnoredAny};

use crate::{clock::ClockFacts, queue::NewObservation};

/// Longest line, bytes: the largest observation has about 5 KiB, escapes and an uncut message included fit many times.
pub const LINE_BYTES: usize = 64 * 1024;

/// A line that is no observation.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Longer than [`LINE_BYTES`].
    #[error("longer than {LINE_BYTES} bytes")]
    TooLong,
    /// Not the expected JSON.
    #[error("{}", in_field(field, source))]
    Json {
        /// The path of the field at fault; "." for the object itself.
        field: String,
        /// What was expected there.
        source: serde_json::Error,
    },
    /// A bound of the contract.
    #[error(transparent)]
    Defect(#[from] Defect),
}

fn in_field(field: &str, source: &serde_json::Error) -> String {
    // A field may be named by the empty text, too.
    if field == "." || field.is_empty() {
        source.to_string()
    } else {
        format!("{field}: {source}")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    #[serde(default, rename = "seq")]
    _seq: IgnoredAny,
    process: ProcessRef,
    #[serde(default)]
    observed_at: Option<UnixMillis>,
    #[serde(default)]
    clock: Option<Clock>,
    #[serde(default)]
    state: Option<ProcessState>,
    #[serde(default)]
    spec_hash: Option<SpecHash>,
    #[serde(default)]
    pid: Option<u32>,
    #[serde(default)]
    exit_code: Option<i32>,
    #[serde(default)]
    restarts: Option<u32>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    values: Measurements,
}

/// Reads one line. Without `observedAt` it is observed now, by this machine's clock and what that is worth; with it,
/// whoever wrote it vouches for it, so that `clock` defaults to synced as in the report.
///
/// # Errors
/// What is wrong with the line, by field.
pub fn parse(line: &[u8], now: &ClockFacts) -> Result<NewObservation, LineError> {
    // The parser alone would also take a list of the fields' values for an object.
    let is_object = line.trim_ascii_start().first() == Some(&b'{');
    let line: Line = match serde_json::from_slice(line) {
        Ok(line) if is_object => line,
        _ => return Err(explain(line)),
    };
    let measured = if line.observed_at.is_none() {
        now.clock
    } else {
        Clock::Synced
    };
    let observation = NewObservation {
        process: line.process,
        observed_at: line.observed_at.unwrap_or(now.now),
        clock: line.clock.unwrap_or(measured),
        uptime_ms: now.uptime_ms,
        state: line.state,
        spec_hash: line.spec_hash,
        pid: line.pid,
        exit_code: line.exit_code,
        restarts: line.restarts,
        reason: line.reason,
        message: line.message,
        values: line.values.0,
    };
    observation.check()?;
    Ok(observation)
}

/// Reads a refused line again, slower, keeping track of the field.
fn explain(line: &[u8]) -> LineError {
    let mut json = serde_json::Deserializer::from_slice(line);
    match serde_path_to_error::deserialize::<_, Line>(&mut json) {
        Err(error) => LineError::Json {
            field: error.path().to_string(),
            source: error.into_inner(),
        },
        // The fields are fine, so it is no object, or the fault lies behind it.
        Ok(_) => LineError::Json {
            field: ".".to_owned(),
            source: json
                .end()
                .err()
                .unwrap_or_else(|| serde::de::Error::custom("expected one JSON object")),
        },
    }
}

/// One line into `line`, without its end; `None` at the end of the input. An over-long one is skipped, not kept.
///
/// # Errors
/// Those of the input.
pub fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Result<(), LineError>>> {
    line.clear();
    let limit = LINE_BYTES as u64 + 1;
    if input.by_ref().take(limit).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > LINE_BYTES {
        input.skip_until(b'\n')?;
        return Ok(Some(Err(LineError::TooLong)));
    }
    Ok(Some(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: ClockFacts = ClockFacts {
        now: UnixMillis::MAX,
        uptime_ms: 7,
        clock: Clock::Unsynced,
    };

    fn refused(line: &str) -> String {
        parse(line.as_bytes(), &NOW).unwrap_err().to_string()
    }

    #[test]
    fn without_a_time_it_is_now_by_this_clock_and_with_one_the_writer_vouches_for_it() {
        let now = parse(br#"{"process":"default/a"}"#, &NOW).unwrap();
        assert_eq!(
            (now.observed_at, now.clock, now.uptime_ms),
            (NOW.now, Clock::Unsynced, 7)
        );
        let told = parse(
            br#"{"process":"default/a","observedAt":"2026-11-23T10:00:00Z"}"#,
            &NOW,
        )
        .unwrap();
        assert_eq!(
            (told.observed_at.to_string().as_str(), told.clock),
            ("2026-11-23T10:00:00.000Z", Clock::Synced)
        );
        let unsure = br#"{"process":"default/a","observedAt":"1970-01-01T00:00:09Z","clock":"unsynced"}"#;
        assert_eq!(parse(unsure, &NOW).unwrap().clock, Clock::Unsynced);
    }

    #[test]
    fn an_error_names_the_field_and_what_was_expected() {
        for (line, names) in [
            (r#"{"process":"a"}"#, ["process", "NAMESPACE/NAME"]),
            (r#"{"observedAt":"2026-11-23T10:00:00Z"}"#, ["process", "missing"]),
            (
                r#"{"process":"d/a","observedAt":"noon"}"#,
                ["observedAt", "RFC 3339"],
            ),
            (r#"{"process":"d/a","pid":-1}"#, ["pid", "u32"]),
            (r#"{"process":"d/a","state":"Runing"}"#, ["state", "Running"]),
            (r#"{"process":"d/a","mesage":"x"}"#, ["mesage", "message"]),
            (r#"{"process":"d/a","values":{"rss":"5"}}"#, ["values.rss", "f64"]),
            (
                r#"{"process":"d/a","values":{"rss":1e999}}"#,
                ["values.rss", "number"],
            ),
            (r#"{"process":"d/a"} x"#, ["trailing", ""]),
            (
                r#"[1,"d/a",null,null,null,null,null,null,null,"","",{}]"#,
                ["one JSON object", ""],
            ),
            (
                r#"{"process":"d/a","values":{"a":1,"a":2}}"#,
                ["values", "\"a\" stands there twice"],
            ),
            ("", ["EOF", ""]),
        ] {
            let text = refused(line);
            assert!(names.iter().all(|name| text.contains(name)), "{line}: {text}");
        }
    }

    #[test]
    fn bounds_are_refused_at_once_but_a_sequence_is_read_over_and_a_message_is_not_a_bound() {
        let line = |reason: usize, message: usize| {
            let (reason, message) = ("r".repeat(reason), "m".repeat(message));
            format!(r#"{{"seq":"any","process":"d/a","reason":"{reason}","message":"{message}"}}"#)
        };
        assert!(parse(line(128, 1025).as_bytes(), &NOW).is_ok());
        assert_eq!(
            refused(&line(129, 0)),
            "reason has 129 bytes, at most 128 are allowed"
        );
    }

    #[test]
    fn a_line_is_read_at_the_limit_and_skipped_one_past_it() {
        let mut input = vec![b'a'; LINE_BYTES];
        input.push(b'\n');
        input.extend(vec![b'b'; LINE_BYTES + 1]);
        input.extend(b"\nlast");
        let (mut input, mut line) = (input.as_slice(), Vec::new());
        assert!(matches!(read_line(&mut input, &mut line), Ok(Some(Ok(())))));
        assert_eq!(line.len(), LINE_BYTES);
        assert!(matches!(
            read_line(&mut input, &mut line),
            Ok(Some(Err(LineError::TooLong)))
        ));
        assert!(matches!(read_line(&mut input, &mut line), Ok(Some(Ok(())))));
        assert_eq!(line, b"last");
        assert!(matches!(read_line(&mut input, &mut line), Ok(None)));
    }
}
