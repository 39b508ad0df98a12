//! JSON that is written item by item.

use std::io::Write;

use serde::Serialize;

use super::Stopped;

/// An array on its way out.
pub(super) struct Array<'a, W> {
    out: &'a mut W,
    items: u64,
}

impl<'a, W: Write> Array<'a, W> {
    /// Opens the array.
    pub(super) fn begin(out: &'a mut W) -> Result<Self, Stopped> {
        out.write_all(b"[")?;
        Ok(Self { out, items: 0 })
    }

    /// Writes one item on a line of its own: such output is easy to read, to diff and to `grep`.
    pub(super) fn item(&mut self, item: &impl Serialize) -> Result<(), Stopped> {
        self.out.write_all(if self.items == 0 { b"\n" } else { b",\n" })?;
        self.items += 1;
        serde_json::to_writer(&mut *self.out, item).map_err(std::io::Error::from)?;
        Ok(())
    }

    /// Closes the array and adds `after`.
    pub(super) fn end(self, after: &str) -> Result<(), Stopped> {
        write!(self.out, "{}]{after}", if self.items == 0 { "" } else { "\n" })?;
        Ok(())
    }
}
