//! a verdict comes after everything it speaks of. R-04: one observation has one fate.

use std::collections::BTreeMap;

use apollo_gateway_core::object::{ProcessObject, SyncPoint};
use apollo_wire::{DeviceName, Epoch, InstanceId, ProcessRef, Rejection, Sequence, SequenceRange};

use super::{Checker, Verdict, hold};
use crate::{
    facts::{AppendedRow, ExchangeId, Fact, TimedFact},
    plan::Millis,
};

/// The store as the facts tell it.
#[derive(Default)]
pub(super) struct Verdicts {
    /// Since when each row is there.
    history: BTreeMap<(DeviceName, InstanceId, Sequence), Millis>,
    processes: BTreeMap<ProcessRef, Bound>,
    exchanges: BTreeMap<ExchangeId, Exchange>,
}

/// A process, and since when it is bound to its device.
struct Bound {
    object: Box<ProcessObject>,
    since_ms: Millis,
}

/// An exchange that has not ended.
#[derive(Default)]
struct Exchange {
    begun_ms: Millis,
    epoch: Epoch,
    rows: Vec<AppendedRow>,
}

/// What a gateway said.
struct Said<'a> {
    exchange: ExchangeId,
    device: &'a DeviceName,
    instance: InstanceId,
    acked: &'a [SequenceRange],
    rejected: &'a [Rejection],
}

impl Checker for Verdicts {
    fn on_fact(&mut self, fact: &TimedFact) -> Verdict {
        match &fact.fact {
            Fact::ProcessChanged { before, after, .. } => {
                self.on_process(fact.at_ms, before.as_deref(), after.as_deref());
            }
            Fact::ExchangeBegun { exchange, .. } => {
                let begun_ms = fact.at_ms;
                let begun = Exchange {
                    begun_ms,
                    ..Exchange::default()
                };
                self.exchanges.insert(*exchange, begun);
            }
            Fact::Appended {
                exchange,
                device,
                instance,
                epoch,
                rows,
                ..
            } => {
                for row in rows {
                    let key = (device.clone(), *instance, row.sequence);
                    self.history.entry(key).or_insert(fact.at_ms);
                }
                let exchange = self.exchanges.entry(*exchange).or_default();
                exchange.epoch = *epoch;
                exchange.rows.clone_from(rows);
            }
            Fact::Verdicts {
                exchange,
                device,
                instance,
                acked,
                rejected,
                ..
            } => {
                let said = Said {
                    exchange: *exchange,
                    device,
                    instance: *instance,
                    acked,
                    rejected,
                };
                return self.on_verdicts(fact.at_ms, &said);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Verdicts {
    fn on_process(&mut self, at_ms: Millis, before: Option<&ProcessObject>, after: Option<&ProcessObject>) {
        match (before, after) {
            (Some(before), None) => {
                self.processes.remove(&before.process);
            }
            (before, Some(after)) => {
                let is_bound_anew = before.is_none_or(|before| before.device != after.device);
                let former = self.processes.get(&after.process);
                let since_ms = match former {
                    Some(former) if !is_bound_anew => former.since_ms,
                    _ => at_ms,
                };
                let bound = Bound {
                    object: Box::new(after.clone()),
                    since_ms,
                };
                self.processes.insert(after.process.clone(), bound);
            }
            (None, None) => {}
        }
    }

    fn on_verdicts(&mut self, at_ms: Millis, said: &Said<'_>) -> Verdict {
        let kept_since = |sequence: Sequence| {
            let key = (said.device.clone(), said.instance, sequence);
            self.history.get(&key).copied()
        };
        for sequence in said.acked.iter().flat_map(|range| range.first..=range.last) {
            hold(kept_since(sequence).is_some(), "R-03", at_ms, || {
                format!(
                    "exchange {} settled {sequence}, which history does not have",
                    said.exchange
                )
            })?;
        }
        let Some(exchange) = self.exchanges.remove(&said.exchange) else {
            return Ok(());
        };
        for rejection in said.rejected {
            // Two exchanges at once may come to two ends: one of them read before the other wrote.
            let settled_before = kept_since(rejection.seq).is_some_and(|since| since < exchange.begun_ms);
            hold(!settled_before, "R-04", at_ms, || {
                format!(
                    "exchange {} refused {}, which was settled",
                    said.exchange, rejection.seq
                )
            })?;
        }
        let acked = |row: &&AppendedRow| said.acked.iter().any(|range| range.contains(row.sequence));
        for row in exchange.rows.iter().filter(acked) {
            self.status_holds(at_ms, said.device, &exchange, row)?;
        }
        Ok(())
    }

    /// The status is at least as new as a row that was settled, if it was bound to the device all the while.
    fn status_holds(
        &self,
        at_ms: Millis,
        device: &DeviceName,
        exchange: &Exchange,
        row: &AppendedRow,
    ) -> Verdict {
        let tells = row.state.is_some() && !row.orphaned && exchange.epoch > 0;
        let bound = self.processes.get(&row.process);
        let Some(bound) = bound.filter(|bound| tells && bound.object.device == *device) else {
            return Ok(());
        };
        if bound.since_ms >= exchange.begun_ms {
            return Ok(());
        }
        let row_at = SyncPoint {
            epoch: exchange.epoch,
            sequence: row.sequence,
        };
        let status = &bound.object.status;
        let is_of_device = status.observed_device.as_ref() == Some(device);
        hold(is_of_device && status.sync >= Some(row_at), "R-03", at_ms, || {
            format!(
                "row {row_at:?} of {} was settled, and its status is at {:?}",
                row.process, status.sync
            )
        })
    }
}
