//! The columns of a batch, coded one after the other, the same way in both directions.
//!
//! To encode, the batch comes filled; to decode, it comes empty and is filled cell by cell. A column is only there if
//! some row is different from its default.

use super::{
    DecodeError,
    batch::{Batch, CLOCKS, STATES, Slot, Texts},
    columns_values,
    model::{Context, Models, NAMES, SMOOTH},
    range_coder::BitCoder,
    strings::Strings,
    template::{self, DIGITS, Digits},
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
        Self { coder, models: Models::new(), strings }
    }

    /// Codes a batch. `sent_at` is the report's, in milliseconds since 1970.
    pub(super) fn batch(&mut self, batch: &mut Batch, sent_at: i64) -> Result<(), C::Error> {
        let rows = self.models.number(self.coder, Column::Rows.context(), SMOOTH, batch.rows() as u64);
        let max = limits::OBSERVATIONS as u64;
        let field = "observations";
        self.coder.check(rows <= max, DecodeError::OverLimit { field, found: rows, max })?;
        self.coder.check(rows > 0, DecodeError::Invalid { field, expected: "at least one, or no column block" })?;
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
        self.messages(batch)?;
        columns_values::code(self, batch, rows)
    }

    /// Whether a column is there at all.
    pub(super) fn present(&mut self, column: Column, present: bool) -> bool {
        self.models.flag(self.coder, Column::Present.context().given(column as usize), present)
    }

    fn sequences(&mut self, sequences: &mut Vec<u64>, rows: usize) -> Result<(), C::Error> {
        sequences.resize(rows, 0);
        let mut previous = None;
        for sequence in sequences {
            *sequence = match previous {
                None => self.models.number(self.coder, Column::FirstSequence.context(), SMOOTH, *sequence),
                Some(previous) => {
                    let next = u64::wrapping_add(previous, 1);
                    let step = sequence.wrapping_sub(next).cast_signed();
                    let step = self.models.signed(self.coder, Column::Sequence.context(), step);
                    next.wrapping_add(step.cast_unsigned())
                }
            };
            let field = "observations.seq";
            let below = *sequence <= limits::SEQUENCE_MAX;
            self.coder.check(below, DecodeError::Invalid { field, expected: "a number below 2^63" })?;
            previous = Some(*sequence);
        }
        Ok(())
    }

    /// The first time is told as how long before `sent_at` it was, the others as how long after the one before; in
    /// seconds where all of them are whole seconds.
    fn times(&mut self, times: &mut Vec<i64>, rows: usize, sent_at: i64) {
        times.resize(rows, 0);
        let Some((first, others)) = times.split_first_mut() else { return };
        let age = self.models.signed(self.coder, Column::FirstTime.context(), sent_at.wrapping_sub(*first));
        *first = sent_at.wrapping_sub(age);
        if others.is_empty() {
            return;
        }
        let mut previous = *first;
        let whole = others.iter().all(|time| {
            let step = time.wrapping_sub(previous);
            previous = *time;
            step % 1000 == 0
        });
        let unit = if self.models.flag(self.coder, Column::WholeSeconds.context(), whole) { 1000 } else { 1 };
        let mut previous = *first;
        for time in others {
            let step = time.wrapping_sub(previous) / unit;
            let step = self.models.signed(self.coder, Column::Time.context(), step);
            *time = previous.wrapping_add(step.wrapping_mul(unit));
            previous = *time;
        }
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
        let error = DecodeError::Invalid { field: "table index", expected: "an entry that is known by then" };
        self.coder.check(index < *known as u64, error)?;
        Ok(usize::try_from(index).unwrap_or(0))
    }

    /// Codes the texts of a table of which `known` entries are used.
    pub(super) fn texts(&mut self, column: Column, field: &'static str, texts: &mut Texts, known: usize) -> Result<(), C::Error> {
        texts.resize(known, Vec::new());
        let context = Column::TextLength.context().given(column as usize);
        texts.iter_mut().try_for_each(|text| self.strings.code(self.coder, &mut self.models, (context, field), text))
    }

    fn processes(&mut self, batch: &mut Batch, rows: usize) -> Result<(), C::Error> {
        batch.process.resize(rows, 0);
        let (mut known, mut previous) = (0, 0);
        for process in &mut batch.process {
            let context = Column::Process.context().given(previous);
            *process = self.index((Column::Process, context), &mut known, *process)?;
            previous = *process;
        }
        self.texts(Column::Process, "observations.process", &mut batch.processes, known)
    }

    fn templates(&mut self, batch: &mut Batch, rows: usize) -> Result<(), C::Error> {
        batch.template.resize(rows, 0);
        let mut known = 0;
        let mut latest = vec![0; batch.processes.len()];
        for (template, process) in batch.template.iter_mut().zip(&batch.process) {
            let context = Column::Template.context().given(*process);
            *template = self.index((Column::Template, context), &mut known, *template)?;
            if let Some(latest) = latest.get_mut(*process) {
                *latest = *template;
            }
        }
        self.texts(Column::Template, "observations.message", &mut batch.templates, known)
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
            for ((state, reason), template) in batch.state.iter_mut().zip(&batch.reason).zip(&batch.template) {
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
    fn choice(&mut self, context: Context, field: &'static str, count: usize, choice: usize) -> Result<usize, C::Error> {
        let choice = self.models.number(self.coder, context, NAMES, choice as u64);
        self.coder.check(choice < count as u64, DecodeError::Invalid { field, expected: "a known number" })?;
        Ok(usize::try_from(choice).unwrap_or(0))
    }

    /// Whether a row has what the latest row of its process had.
    fn same(&mut self, column: Column, process: usize, first: bool, same: bool) -> bool {
        let context = Column::Same.context().given(column as usize * 2 + usize::from(first)).given(process);
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
            let Some(latest) = latest.get_mut(*process) else { continue };
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
            *hash = self.coder.plain_bits(u64::from_be_bytes(*hash), u64::BITS).to_be_bytes();
        }
        Ok(())
    }

    /// Numbers that mostly stay what they were for the same process.
    fn kept_numbers(&mut self, column: Column, numbers: &mut [u64], processes: &[usize]) {
        let mut latest: Vec<Option<u64>> = vec![None; processes.len()];
        for (number, process) in numbers.iter_mut().zip(processes) {
            let Some(latest) = latest.get_mut(*process) else { continue };
            let before = latest.unwrap_or(0);
            if self.same(column, *process, latest.is_none(), *number == before) {
                *number = before;
            } else {
                let step = number.wrapping_sub(before).cast_signed();
                let step = self.models.signed(self.coder, column.context().given(usize::from(latest.is_none())), step);
                *number = before.wrapping_add(step.cast_unsigned());
            }
            *latest = Some(*number);
        }
    }

    /// The numbers of the messages, template by template and slot by slot.
    fn messages(&mut self, batch: &mut Batch) -> Result<(), C::Error> {
        let mut rows = vec![0; batch.templates.len()];
        for template in &batch.template {
            if let Some(rows) = rows.get_mut(*template) {
                *rows += 1;
            }
        }
        batch.slots.resize(batch.templates.len(), Vec::new());
        let mut column = 0;
        for ((slots, text), rows) in batch.slots.iter_mut().zip(&batch.templates).zip(rows) {
            let count = template::slots(text);
            let error = DecodeError::Invalid { field: "observations.message", expected: "0 for every number of a template" };
            self.coder.check(count.is_some(), error)?;
            slots.resize(count.unwrap_or(0), Slot { digits: Digits::Plain, numbers: Vec::new() });
            for slot in slots {
                column += 1;
                slot.numbers.resize(rows, 0);
                self.slot(slot, column)?;
            }
        }
        Ok(())
    }

    fn slot(&mut self, slot: &mut Slot, column: usize) -> Result<(), C::Error> {
        let kind = match slot.digits {
            Digits::Plain => 0,
            Digits::Counted => 1,
            Digits::Fixed(width) => width,
        };
        let kind = self.choice(Column::Digits.context(), "digits of observations.message", DIGITS + 1, kind)?;
        slot.digits = match kind {
            0 => Digits::Plain,
            1 => Digits::Counted,
            width => Digits::Fixed(width),
        };
        self.series(Column::Number.context().given(column), &mut slot.numbers);
        Ok(())
    }

    /// A series of numbers, as they are or as steps, whichever is shorter.
    fn series(&mut self, context: Context, numbers: &mut [u64]) {
        let bits = |number: u64| u64::from(u64::BITS - number.leading_zeros());
        let as_they_are: u64 = numbers.iter().map(|number| bits(*number)).sum();
        let step = |pair: &[u64]| match pair {
            [before, number] => 1 + bits(super::model::zigzag(number.wrapping_sub(*before).cast_signed())) ,
            _ => 0,
        };
        let as_steps = numbers.first().map_or(0, |first| bits(*first)) + numbers.windows(2).map(step).sum::<u64>();
        let steps = numbers.len() > 1 && self.models.flag(self.coder, Column::Delta.context(), as_steps < as_they_are);
        let mut before = 0;
        for number in numbers {
            *number = if steps {
                let step = self.models.signed(self.coder, context, number.wrapping_sub(before).cast_signed());
                u64::wrapping_add(before, step.cast_unsigned())
            } else {
                self.models.number(self.coder, context, SMOOTH, *number)
            };
            before = *number;
        }
    }
}
