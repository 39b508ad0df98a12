//! Columns for people: the printer columns of the CustomResourceDefinitions, and history as lines.

use std::io::Write;

use apollo_wire::UnixMillis;
use comfy_table::{Table, presets};
use serde_json::Value;

use super::Stopped;
use crate::{manifest::Kind, store::embedded::ObservationRecord};

/// Header and where in the object the value is; a leading `~` shows a time as an age.
type Column = (&'static str, &'static str);

const DEVICE: [Column; 6] = [
    ("NAME", "/metadata/name"),
    ("STATE", "/status/state"),
    ("LAST-HEARTBEAT", "~/status/lastHeartbeatTime"),
    ("PENDING", "/status/queue/pending"),
    ("DROPPED", "/status/queue/dropped"),
    ("AGE", "~/metadata/creationTimestamp"),
];
const DEVICE_WIDE: [Column; 4] = [
    ("NEXT-CONTACT", "/status/nextContactTime"),
    ("VERSION", "/status/agentVersion"),
    ("SKEW-MS", "/status/clockSkewMs"),
    ("BLOCKED", "/spec/blocked"),
];
const PROCESS: [Column; 7] = [
    ("NAMESPACE", "/metadata/namespace"),
    ("NAME", "/metadata/name"),
    ("DEVICE", "/spec/deviceRef/name"),
    ("STATE", "/status/state"),
    ("READY", "?Ready"),
    ("RESTARTS", "/status/restarts"),
    ("AGE", "~/metadata/creationTimestamp"),
];
const PROCESS_WIDE: [Column; 5] = [
    ("CONNECTED", "?AgentConnected"),
    ("OBSERVED", "~/status/lastObservedTime"),
    ("SPEC-HASH", "/status/observedSpecHash"),
    ("REASON", "/status/reason"),
    ("MESSAGE", "/status/message"),
];

/// A table of objects of one kind.
pub(super) struct Objects {
    columns: Vec<Column>,
    table: Table,
    now: UnixMillis,
}

impl Objects {
    /// An empty table with its header.
    pub(super) fn new(kind: Kind, wide: bool) -> Self {
        let columns: Vec<Column> = match (kind, wide) {
            (Kind::Device, false) => DEVICE.to_vec(),
            (Kind::Device, true) => [&DEVICE[..], &DEVICE_WIDE].concat(),
            (Kind::DeviceProcess, false) => PROCESS.to_vec(),
            (Kind::DeviceProcess, true) => [&PROCESS[..], &PROCESS_WIDE].concat(),
        };
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(columns.iter().map(|(header, _)| *header));
        Self {
            columns,
            table,
            now: UnixMillis::saturating(jiff::Timestamp::now().as_millisecond()),
        }
    }

    /// Adds an object.
    pub(super) fn add(&mut self, object: &Value) {
        let cells = self
            .columns
            .iter()
            .map(|(_, place)| cell(object, place, self.now));
        self.table.add_row(cells.collect::<Vec<_>>());
    }

    /// Prints it.
    pub(super) fn print(&self, out: &mut impl Write) -> Result<(), Stopped> {
        for line in self.table.lines() {
            // Each cell is padded on both sides; the first column begins at the margin, as people and `cut` expect.
            let line = line.strip_prefix(' ').unwrap_or(&line).trim_end();
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

fn cell(object: &Value, place: &str, now: UnixMillis) -> String {
    if let Some(condition) = place.strip_prefix('?') {
        return condition_status(object, condition).to_owned();
    }
    if let Some(place) = place.strip_prefix('~') {
        let time = object.pointer(place).and_then(Value::as_str);
        return time
            .and_then(|time| time.parse().ok())
            .map_or(String::new(), |time| age(time, now));
    }
    match object.pointer(place) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn condition_status<'a>(object: &'a Value, kind: &str) -> &'a str {
    object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .and_then(|conditions| conditions.iter().find(|condition| condition["type"] == kind))
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or("")
}

/// A span as kubectl shows it: the largest unit that says something.
fn age(time: UnixMillis, now: UnixMillis) -> String {
    let seconds = now.since(time).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The header of the lines that [`observation`] writes. Widths are fixed: history is too long to be measured first.
pub(super) fn observation_header(wide: bool, out: &mut impl Write) -> Result<(), Stopped> {
    let more = if wide {
        "RECEIVED-AT               SPEC-HASH         "
    } else {
        ""
    };
    Ok(writeln!(
        out,
        "{:<20} {:>5} {:>8}  {:<28} {:<24}  {:<10} {:<16} {more}{}",
        "DEVICE",
        "EPOCH",
        "SEQ",
        "PROCESS",
        "OBSERVED-AT",
        "STATE",
        "REASON",
        if wide { "VALUES  MESSAGE" } else { "MESSAGE" },
    )?)
}

/// One observation as a line.
pub(super) fn observation(row: &ObservationRecord, wide: bool, out: &mut impl Write) -> Result<(), Stopped> {
    let more = if wide {
        format!(
            "{:<24}  {:<16}  ",
            row.received_at.to_string(),
            row.spec_hash.as_deref().unwrap_or(""),
        )
    } else {
        String::new()
    };
    // Text from a device must not be able to move the cursor or colour the terminal.
    let printable = |text: &str| text.replace(char::is_control, " ");
    let values = if wide {
        format!("{}  ", row.values.get())
    } else {
        String::new()
    };
    Ok(writeln!(
        out,
        "{:<20} {:>5} {:>8}  {:<28} {:<24}  {:<10} {:<16} {more}{values}{}",
        row.device,
        row.epoch,
        row.seq,
        row.process,
        row.observed_at.to_string(),
        row.state.unwrap_or(""),
        printable(&row.reason),
        printable(&row.message),
    )?)
}
