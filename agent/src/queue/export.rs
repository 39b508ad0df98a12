//! Writing the pending observations out, for people and scripts.

use std::io::{self, Write};

use apollo_wire::Observation;
use rusqlite::Row;

use super::{
    Queue, StorageError,
    row::{self, COLUMNS},
};

/// How observations are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object a line, with the report's field names: what `observe --stdin` reads.
    Ndjson,
    /// RFC 4180 with a header line; `values` is JSON text.
    Csv,
}

/// The export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The output refused.
    #[error("cannot write the export")]
    Output(#[source] io::Error),
}

impl Queue {
    /// Writes all pending observations, oldest first, as of one moment. Rows are streamed: memory does not grow with the
    /// queue. Returns how many were written. The clock is written as recorded.
    ///
    /// # Errors
    /// Any failure of SQLite or of `output`.
    pub fn export(&self, output: impl Write, format: ExportFormat) -> Result<u64, ExportError> {
        match format {
            ExportFormat::Ndjson => self.export_ndjson(output),
            ExportFormat::Csv => self.export_csv(output),
        }
    }

    fn export_ndjson(&self, mut output: impl Write) -> Result<u64, ExportError> {
        let written = self.each_pending(|observation| {
            serde_json::to_writer(&mut output, observation)?;
            output.write_all(b"\n")
        })?;
        output.flush().map_err(ExportError::Output)?;
        Ok(written)
    }

    fn export_csv(&self, output: impl Write) -> Result<u64, ExportError> {
        let mut writer = csv::Writer::from_writer(output);
        writer
            .write_record(CSV_HEADER)
            .map_err(|error| ExportError::Output(error.into()))?;
        let written = self
            .each_pending(|observation| writer.write_record(csv_record(observation)).map_err(Into::into))?;
        writer.flush().map_err(ExportError::Output)?;
        Ok(written)
    }

    fn each_pending(
        &self,
        mut write: impl FnMut(&Observation) -> io::Result<()>,
    ) -> Result<u64, ExportError> {
        let failed = |source| ExportError::Storage(StorageError::new("export the queue", source));
        let sql = format!("SELECT seq, {COLUMNS} FROM observation ORDER BY seq");
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut written = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            write(&read(row).map_err(failed)?).map_err(ExportError::Output)?;
            written += 1;
        }
        Ok(written)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Observation> {
    let seq = row::sequence(row.get(0)?);
    row::read(row, 1).map(|stored| stored.observation.into_wire(seq))
}

const CSV_HEADER: [&str; 12] = [
    "seq",
    "process",
    "observedAt",
    "clock",
    "state",
    "specHash",
    "pid",
    "exitCode",
    "restarts",
    "reason",
    "message",
    "values",
];

fn csv_record(observation: &Observation) -> [String; 12] {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    [
        observation.seq.to_string(),
        observation.process.to_string(),
        observation.observed_at.to_string(),
        row::clock_text(observation.clock).to_owned(),
        text(observation.state.map(row::state_text)),
        text(observation.spec_hash),
        text(observation.pid),
        text(observation.exit_code),
        text(observation.restarts),
        observation.reason.clone(),
        observation.message.clone(),
        row::values_json(&observation.values).unwrap_or_default(),
    ]
}
