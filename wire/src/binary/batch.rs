//! Observations turned on their side: one list per field, with tables for whatever repeats.

use std::collections::HashMap;

use super::{
    measurement::Measurement,
    template::{self, Digits, Piece},
};
use crate::{Clock, Observation, ProcessState, UnixMillis};

/// The states, in the order of their numbers: 0 is none.
pub(super) const STATES: [Option<ProcessState>; 7] = [
    None,
    Some(ProcessState::Pending),
    Some(ProcessState::Running),
    Some(ProcessState::Backoff),
    Some(ProcessState::Succeeded),
    Some(ProcessState::Failed),
    Some(ProcessState::Stopped),
];

/// The clocks, in the order of their numbers.
pub(super) const CLOCKS: [Clock; 3] = [Clock::Synced, Clock::Unsynced, Clock::Unknown];

/// Texts that rows refer to by index, in the order of their first use.
pub(super) type Texts = Vec<Vec<u8>>;

/// The observations of one report, by column. All row columns have the same length.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Sequences.
    pub seq: Vec<u64>,
    /// Observed at, milliseconds since 1970.
    pub observed_at: Vec<i64>,
    /// Index into `processes`.
    pub process: Vec<usize>,
    pub processes: Texts,
    /// Index into `templates`.
    pub template: Vec<usize>,
    pub templates: Texts,
    /// For each template, for each of its slots: how digits were read, and the numbers of its rows in order.
    pub slots: Vec<Vec<Slot>>,
    /// Index into `reasons`.
    pub reason: Vec<usize>,
    pub reasons: Texts,
    /// Index into [`STATES`].
    pub state: Vec<usize>,
    /// Index into [`CLOCKS`].
    pub clock: Vec<usize>,
    /// Index into `hashes`, plus one; 0 is none.
    pub spec_hash: Vec<usize>,
    pub hashes: Vec<[u8; 8]>,
    /// These three: the number (the exit code zigzagged) plus one; 0 is none.
    pub pid: Vec<u64>,
    pub exit_code: Vec<u64>,
    pub restarts: Vec<u64>,
    /// Index into `value_sets`.
    pub value_set: Vec<usize>,
    /// Sets of names that occur together, as ascending indexes into `value_names` by name.
    pub value_sets: Vec<Vec<usize>>,
    pub value_names: Texts,
    /// The measurements of all rows, in the order of rows and, within a row, of its set.
    pub values: Vec<Measurement>,
}

/// One place for a number in one template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub digits: Digits,
    pub numbers: Vec<u64>,
}

/// Finds or adds an entry; entries are numbered in the order of first use.
struct Interner<T>(HashMap<T, usize>);

impl<T: std::hash::Hash + Eq + Clone> Interner<T> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn index(&mut self, entry: T, table: &mut Vec<T>) -> usize {
        *self.0.entry(entry).or_insert_with_key(|entry| {
            table.push(entry.clone());
            table.len() - 1
        })
    }
}

impl Batch {
    /// The columns of `observations`.
    pub(super) fn new(observations: &[Observation]) -> Self {
        let mut batch = Self {
            seq: observations.iter().map(|row| row.seq).collect(),
            observed_at: observations
                .iter()
                .map(|row| UnixMillis::get(row.observed_at))
                .collect(),
            state: observations.iter().map(|row| place(&STATES, row.state)).collect(),
            clock: observations.iter().map(|row| place(&CLOCKS, row.clock)).collect(),
            pid: observations
                .iter()
                .map(|row| row.pid.map_or(0, |pid| u64::from(pid) + 1))
                .collect(),
            restarts: observations
                .iter()
                .map(|row| row.restarts.map_or(0, |count| u64::from(count) + 1))
                .collect(),
            exit_code: observations
                .iter()
                .map(|row| {
                    row.exit_code
                        .map_or(0, |code| super::model::zigzag(code.into()) + 1)
                })
                .collect(),
            ..Self::default()
        };
        batch.intern_texts(observations);
        batch.split_messages(observations);
        batch.intern_values(observations);
        batch
    }

    fn intern_texts(&mut self, observations: &[Observation]) {
        let (mut processes, mut reasons, mut hashes) = (Interner::new(), Interner::new(), Interner::new());
        for row in observations {
            self.process
                .push(processes.index(row.process.as_str().as_bytes().to_vec(), &mut self.processes));
            self.reason
                .push(reasons.index(row.reason.as_bytes().to_vec(), &mut self.reasons));
            let hash = row
                .spec_hash
                .map(|hash| hashes.index(hash.0, &mut self.hashes) + 1);
            self.spec_hash.push(hash.unwrap_or(0));
        }
    }

    fn split_messages(&mut self, observations: &[Observation]) {
        let mut interner = Interner::new();
        let mut columns: Vec<Vec<Vec<&[u8]>>> = Vec::new();
        for row in observations {
            let (template, numbers) = template::split(row.message.as_bytes());
            let index = interner.index(template, &mut self.templates);
            self.template.push(index);
            if index == columns.len() {
                columns.push(vec![Vec::new(); numbers.len()]);
            }
            for (column, digits) in columns.iter_mut().skip(index).take(1).flatten().zip(numbers) {
                column.push(digits);
            }
        }
        let slot = |column: &Vec<&[u8]>| {
            let digits = Digits::suiting(column);
            Slot {
                digits,
                numbers: column.iter().map(|run| digits.number(run)).collect(),
            }
        };
        self.slots = columns
            .iter()
            .map(|slots| slots.iter().map(slot).collect())
            .collect();
    }

    fn intern_values(&mut self, observations: &[Observation]) {
        let (mut names, mut sets) = (Interner::new(), Interner::new());
        for row in observations {
            let set: Vec<usize> = row
                .values
                .keys()
                .map(|name| names.index(name.clone().into_bytes(), &mut self.value_names))
                .collect();
            self.value_set.push(sets.index(set, &mut self.value_sets));
            self.values
                .extend(row.values.values().map(|value| Measurement::of(value.get())));
        }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.seq.len()
    }

    /// A template with its slots' places: see [`template::pieces`].
    pub(super) fn pieces(&self, template: usize) -> impl Iterator<Item = Piece<'_>> {
        template::pieces(self.templates.get(template).map_or(&[], Vec::as_slice))
    }
}

fn place<T: PartialEq>(all: &[T], one: T) -> usize {
    all.iter().position(|other| *other == one).unwrap_or(0)
}
