//! What a gateway has told its devices, and its operator.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::ledger::promised;

/// An observation's identity: device, instance, sequence.
pub(crate) type Identity = (String, String, u64);

/// Everything that was confirmed. Shared by the threads that report and apply.
#[derive(Debug, Default)]
pub(crate) struct VerdictBook(Mutex<Entries>);

#[derive(Debug, Clone, Default)]
pub(crate) struct Entries {
    /// Messages of the observations that were settled.
    pub(crate) settled: BTreeMap<Identity, String>,
    /// Epochs told, by device and instance.
    pub(crate) epochs: BTreeMap<(String, String), u64>,
    /// The version of the spec that the last `apply` confirmed.
    pub(crate) applied: u64,
}

impl VerdictBook {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far.
    pub(crate) fn read(&self) -> Entries {
        self.entries().clone()
    }

    /// `apply` ended with 0.
    pub(crate) fn applied(&self, version: u64) {
        self.entries().applied = version;
    }

    /// Enters the verdicts of a reply to a report of `sent`; returns the sequences it settled.
    pub(crate) fn settle(
        &self,
        device: &str,
        instance: &str,
        sent: &BTreeMap<u64, String>,
        verdicts: &Value,
    ) -> Result<BTreeSet<u64>> {
        let mut entries = self.entries();
        let epoch = verdicts["epoch"].as_u64().context("no epoch")?;
        let of = (device.to_owned(), instance.to_owned());
        let before = entries.epochs.insert(of.clone(), epoch);
        promised!(
            before.is_none_or(|before| before == epoch),
            "{of:?} had epoch {before:?} and has {epoch}"
        );
        let others = entries.epochs.iter();
        let shared = others
            .filter(|(other, has)| other.0 == device && other.1 != instance && **has == epoch)
            .count();
        promised!(shared == 0, "epoch {epoch} of {device} was handed out twice");
        let mut settled = BTreeSet::new();
        for range in verdicts["acked"].as_array().context("no acked")? {
            let end = |index: usize| range[index].as_u64().context("not a range");
            let (first, last) = (end(0)?, end(1)?);
            for (sequence, message) in sent.range(first..=last) {
                settled.insert(*sequence);
                let identity = (device.to_owned(), instance.to_owned(), *sequence);
                entries.settled.insert(identity, message.clone());
            }
        }
        Ok(settled)
    }
}
