//! Printing for people and for scripts.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::CommandError;

/// Writes one JSON value and a line end.
pub(super) fn json(value: &impl Serialize) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, value)
        .map_err(io::Error::from)
        .and_then(|()| stdout.write_all(b"\n"))
        .map_err(CommandError::Output)
}

/// Writes one line.
pub(super) fn line(text: &str) -> Result<(), CommandError> {
    writeln!(io::stdout().lock(), "{text}").map_err(CommandError::Output)
}

/// Writes a table: with rules on a terminal, aligned columns alone otherwise, so that `grep` and `awk` see only data.
pub(super) fn table(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<(), CommandError> {
    let mut table = Table::new();
    let style = if io::stdout().is_terminal() {
        presets::UTF8_FULL_CONDENSED
    } else {
        presets::NOTHING
    };
    table
        .load_style(style)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    for row in rows {
        table.add_row(row.into_iter().map(|cell| one_line(&cell)));
    }
    for text in table.lines() {
        // Without rules each cell is still padded on both sides; the first column begins at the margin.
        line(text.strip_prefix(' ').unwrap_or(&text).trim_end())?;
    }
    Ok(())
}

/// Control characters would break the table, or the terminal: messages come from processes.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
