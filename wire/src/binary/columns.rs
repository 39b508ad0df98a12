//! The columns of a batch, coded one after the other, the same way in both directions.
//!
//! To encode, the batch comes filled; to decode, it comes empty and is filled cell by cell. A column is only there if
//! some row is different from its default.

use super::{
    DecodeError,
    batch::{Batch, CLOCKS, STATES, Texts},
    columns_messages, columns_values,
    model::{Context, Models, NAMES, SMOOTH},
    range_coder::BitCoder,
    strings::Strings,
};
use crate::limits;

/// The columns' numbers, from which their contexts are made. Part of the format.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    Rows,
    Present,
    Sequence,
    FirstSequence,
    Time,
    FirstTime,
    WholeSeconds,
    Process,
    Template,
    Reason,
    State,
    Clock,
    SpecHash,
    Pid,
    ExitCode,
    Restarts,
    ValueSet,
    ValueName,
    Scale,
    Digits,
    Number,
    TextLength,
    Fresh,
    Same,
    Delta,
    Measurement,
}

impl Column {
    /// Its context, with nothing else known.
    pub(super) fn context(self) -> Context {
        Context::column(self as u32)
    }
}

/// A frame being coded.
#[derive(Debug)]
pub(super) struct Coding<'a, C> {
    pub coder: &'a mut C,
    pub models: Models,
    pub strings: &'a mut Strings,
}

impl<'a, C: BitCoder> Coding<'a, C> {
    /// With nothing learned yet.
    pub(super) fn new(coder: &'a mut C, strings: &'a mut Strings) -> Self {
        Self {
            coder,
            models: Models::new(),
            strings,
        }
    }

    /// Codes a batch. `sent_at` is the report's, in milliseconds since 1970.
    pub(super) fn batch(&mut self, batch: &mut Batch, sent_at: i64) -> Result<(), C::Error> {
        let rows = self
            .models
            .number(self.coder, Column::Rows.context(), SMOOTH, batch.rows() as u64);
        let max = limits::OBSERVATIONS as u64;
        let field = "observations";
        self.coder.check(
            rows <= max,
            DecodeError::OverLimit {
                field,
                found: rows,
                max,
            },
        )?;
        self.coder.check(
            rows > 0,
            DecodeError::Invalid {
                field,
                expected: "at least one, or no column block",
            },
        )?;
        let rows = usize::try_from(rows).unwrap_or(limits::OBSERVATIONS);
        self.sequences(&mut batch.seq, rows)?;
        self.times(&mut batch.observed_at, rows, sent_at);
        self.processes(batch, rows)?;
        self.templates(batch, rows)?;
        self.reasons(batch, rows)?;
        self.states(batch, rows)?;
        self.spec_hashes(batch, rows)?;
        for (column, numbers) in [
            (Column::Pid, &mut batch.pid),
            (Column::ExitCode, &mut batch.exit_code),
            (Column::Restarts, &mut batch.restarts),
        ] {
            numbers.resize(rows, 0);
            if self.present(column, numbers.iter().any(|number| *number != 0)) {
                self.kept_numbers(column, numbers, &batch.process);
            }
        }
        columns_messages::code(self, batch)?;
        columns_values::code(self, batch, rows)
    }

    /// Whether a column is there at all.
    pub(super) fn present(&mut self, column: Column, present: bool) -> bool {
        self.models.flag(
            self.coder,
            Column::Present.context().given(column as usize),
            present,
        )
    }

    /// Codes an index into a table that grows as it is used: `known` entries so far.
    pub(super) fn index(
        &mut self,
        (column, context): (Column, Context),
        known: &mut usize,
        index: usize,
    ) -> Result<usize, C::Error> {
        let fresh = Column::Fresh.context().given(column as usize);
        if *known == 0 || self.models.flag(self.coder, fresh, index == *known) {
            *known += 1;
            return Ok(*known - 1);
        }
        if *known == 1 {
            return Ok(0);
        }
        let index = self.models.number(self.coder, context, NAMES, index as u64);
        let error = DecodeError::Invalid {
            field: "table index",
            expected: "an entry that is known by then",
        };
        self.coder.check(index < *known as u64, error)?;
        Ok(usize::try_from(index).unwrap_or(0))
    }

    /// Codes the texts of a table of which `known` entries are used.
    pub(super) fn texts(
        &mut self,
        column: Column,
        field: &'static str,
        texts: &mut Texts,
        known: usize,
    ) -> Result<(), C::Error> {
        texts.resize(known, Vec::new());
        let context = Column::TextLength.context().given(column as usize);
        texts.iter_mut().try_for_each(|text| {
            self.strings
                .code(self.coder, &mut self.models, (context, field), text)
        })
    }

    fn processes(&mut self, batch: &mut Batch, rows: usize) -> Result<(), C::Error> {
        batch.process.resize(rows, 0);
        let (mut known, mut previous) = (0, 0);
        for process in &mut batch.process {
            let context = Column::Process.context().given(previous);
            *process = self.index((Column::Process, context), &mut known, *process)?;
            previous = *process;
        }
        self.texts(
            Column::Process,
            "observations.process",
            &mut batch.processes,
            known,
        )
    }

    fn templates(&mut self, batch: &mut Batch, rows: usize) -> Result<(), C::Error> {
        batch.template.resize(rows, 0);
        let mut known = 0;
        for (template, process) in batch.template.iter_mut().zip(&batch.process) {
            let context = Column::Template.context().given(*process);
            *template = self.index((Column::Template, context), &mut known, *template)?;
        }
        self.texts(
            Column::Template,
            "observations.message",
            &mut batch.templates,
            known,
        )
    }

    fn reasons(&mut self, batch: &mut Batch, rows: usize) -> Result<(), C::Error> {
        batch.reason.resize(rows, 0);
        let mut known = 0;
        for (reason, template) in batch.reason.iter_mut().zip(&batch.template) {
            let context = Column::Reason.context().given(*template);
            *reason = self.index((Column::Reason, context), &mut known, *reason)?;
        }
        self.texts(Column::Reason, "observations.reason", &mut batch.reasons, known)
    }

    fn states(&mut self, batch: &mut Batch, rows: usize) -> Result<(), C::Error> {
        batch.state.resize(rows, 0);
        batch.clock.resize(rows, 0);
        if self.present(Column::State, batch.state.iter().any(|state| *state != 0)) {
            for ((state, reason), template) in batch.state.iter_mut().zip(&batch.reason).zip(&batch.template)
            {
                let context = Column::State.context().given(*reason).given(*template);
                *state = self.choice(context, "observations.state", STATES.len(), *state)?;
            }
        }
        if self.present(Column::Clock, batch.clock.iter().any(|clock| *clock != 0)) {
            let mut previous = 0;
            for clock in &mut batch.clock {
                let context = Column::Clock.context().given(previous);
                *clock = self.choice(context, "observations.clock", CLOCKS.len(), *clock)?;
                previous = *clock;
            }
        }
        Ok(())
    }

    /// Codes one of a fixed list of choices.
    pub(super) fn choice(
        &mut self,
        context: Context,
        field: &'static str,
        count: usize,
        choice: usize,
    ) -> Result<usize, C::Error> {
        let choice = self.models.number(self.coder, context, NAMES, choice as u64);
        self.coder.check(
            choice < count as u64,
            DecodeError::Invalid {
                field,
                expected: "a known number",
            },
        )?;
        Ok(usize::try_from(choice).unwrap_or(0))
    }

    /// Whether a row has what the latest row of its process had.
    fn same(&mut self, column: Column, process: usize, first: bool, same: bool) -> bool {
        let context = Column::Same
            .context()
            .given(column as usize * 2 + usize::from(first))
            .given(process);
        self.models.flag(self.coder, context, same)
    }

    fn spec_hashes(&mut self, batch: &mut Batch, rows: usize) -> Result<(), C::Error> {
        batch.spec_hash.resize(rows, 0);
        if !self.present(Column::SpecHash, batch.spec_hash.iter().any(|hash| *hash != 0)) {
            return Ok(());
        }
        let mut latest = vec![None; batch.processes.len()];
        // The first entry stands for "none".
        let mut known = 1;
        for (hash, process) in batch.spec_hash.iter_mut().zip(&batch.process) {
            let Some(latest) = latest.get_mut(*process) else {
                continue;
            };
            let before = latest.unwrap_or(0);
            if self.same(Column::SpecHash, *process, latest.is_none(), *hash == before) {
                *hash = before;
            } else {
                let context = Column::SpecHash.context().given(*process);
                *hash = self.index((Column::SpecHash, context), &mut known, *hash)?;
            }
            *latest = Some(*hash);
        }
        batch.hashes.resize(known - 1, [0; 8]);
        for hash in &mut batch.hashes {
            *hash = self
                .coder
                .plain_bits(u64::from_be_bytes(*hash), u64::BITS)
                .to_be_bytes();
        }
        Ok(())
    }

    /// Numbers that mostly stay what they were for the same process.
    fn kept_numbers(&mut self, column: Column, numbers: &mut [u64], processes: &[usize]) {
        let mut latest: Vec<Option<u64>> = vec![None; processes.len()];
        for (number, process) in numbers.iter_mut().zip(processes) {
            let Some(latest) = latest.get_mut(*process) else {
                continue;
            };
            let before = latest.unwrap_or(0);
            if self.same(column, *process, latest.is_none(), *number == before) {
                *number = before;
            } else {
                let step = number.wrapping_sub(before).cast_signed();
                let step = self.models.signed(
                    self.coder,
                    column.context().given(usize::from(latest.is_none())),
                    step,
                );
                *number = before.wrapping_add(step.cast_unsigned());
            }
            *latest = Some(*number);
        }
    }
}
