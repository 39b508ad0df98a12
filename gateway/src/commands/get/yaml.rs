//! YAML that is written item by item.

use std::io::Write;

use serde::Serialize;

use super::Stopped;

/// A list on its way out.
pub(super) struct List<'a, W> {
    out: &'a mut W,
    key: &'static str,
    items: u64,
}

impl<'a, W: Write> List<'a, W> {
    /// Begins a list: the value of `key`, or the whole document if that is empty.
    pub(super) fn begin(out: &'a mut W, key: &'static str) -> Self {
        Self { out, key, items: 0 }
    }

    /// Writes one item.
    pub(super) fn item(&mut self, item: &impl Serialize) -> Result<(), Stopped> {
        if self.items == 0 && !self.key.is_empty() {
            writeln!(self.out, "{}:", self.key)?;
        }
        self.items += 1;
        // By way of a JSON value: stored values are raw JSON text, which only a JSON writer can take in.
        let value = serde_json::to_value(item).map_err(std::io::Error::from)?;
        self.out.write_all(text(&[value])?.as_bytes())?;
        Ok(())
    }

    /// Ends the list.
    pub(super) fn end(self) -> Result<(), Stopped> {
        match (self.items, self.key) {
            (0, "") => writeln!(self.out, "[]")?,
            (0, key) => writeln!(self.out, "{key}: []")?,
            _ => {}
        }
        Ok(())
    }
}

/// A value as YAML, ending in a line break.
pub(super) fn text(value: &impl Serialize) -> Result<String, Stopped> {
    let text = serde_saphyr::to_string(value).map_err(|error| Stopped::Format(error.to_string()))?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}
