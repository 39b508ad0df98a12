//! What each observation of a report comes to: history, a candidate for a status, or a rejection with its
//! reason.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use apollo_wire::{
    DeviceName, Epoch, Gap, Observation, ProcessRef, RejectReason, Rejection, Report, Sequence, UnixMillis,
    limits,
};

use crate::{join::Candidate, object::SyncPoint, policy::Policy, store::HistoryRow, time::ClockReading};

/// Who the named DeviceProcesses are bound to; a process that is not here does not exist.
pub type Bindings = HashMap<ProcessRef, DeviceName>;

/// A report, sorted into what is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Judgement {
    /// What history shall keep, in the order of the report.
    pub rows: Vec<HistoryRow>,
    /// Ranges the device dropped, for history.
    pub gaps: Vec<Gap>,
    /// For each process the observation with a state and the greatest sequence.
    pub candidates: BTreeMap<ProcessRef, Observed>,
    /// What is refused, each sequence once.
    pub rejections: Vec<Rejection>,
    /// What is refused for a reason that may not have held when it was first sent: a process is bound elsewhere since, a
    /// clock has moved, time has passed. What is malformed always was.
    pub refused_now: BTreeMap<Sequence, Observation>,
    /// Observations whose sequence had come earlier in the same report and was taken then.
    pub repeated: u32,
}

/// A candidate before its epoch is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observed {
    /// The observation.
    pub observation: Observation,
    /// Its corrected time, if known.
    pub corrected_at: Option<UnixMillis>,
}

impl Observed {
    /// The candidate it is in this epoch.
    pub fn in_epoch(&self, epoch: Epoch) -> Candidate {
        Candidate {
            sync: SyncPoint {
                epoch,
                sequence: self.observation.seq,
            },
            observation: self.observation.clone(),
            corrected_at: self.corrected_at,
        }
    }
}

/// The processes a report names, each once.
pub fn named(report: &Report) -> Vec<ProcessRef> {
    let names: HashSet<&ProcessRef> = report
        .observations
        .iter()
        .map(|observation| &observation.process)
        .collect();
    let mut names: Vec<ProcessRef> = names.into_iter().cloned().collect();
    names.sort_unstable();
    names
}

/// Whether some named process is missing or bound to another device. A cache that lags must not decide that:
/// the answer would be final.
pub fn is_doubtful(report: &Report, device: &DeviceName, bindings: &Bindings) -> bool {
    report
        .observations
        .iter()
        .any(|observation| bindings.get(&observation.process) != Some(device))
}

/// Judges every observation by itself, so that a bad one never blocks the rest.
///
/// The checks, in this order: well-formed, bound to `device`, time possible. An observation whose
/// process does not exist is kept as orphaned. Of several with one sequence the first counts: one identity,
/// one fate. Takes the contents of the report.
pub fn judge(
    report: &mut Report,
    device: &DeviceName,
    clock: ClockReading,
    bindings: &Bindings,
    policy: &Policy,
) -> Judgement {
    let mut judgement = Judgement {
        gaps: std::mem::take(&mut report.gaps),
        ..Judgement::default()
    };
    judgement
        .gaps
        .retain(|gap| gap.first <= gap.last && gap.last <= limits::SEQUENCE_MAX);
    // Sequence to whether it was taken.
    let mut seen: HashMap<Sequence, bool> = HashMap::new();
    for malformed in std::mem::take(&mut report.malformed) {
        if let Entry::Vacant(entry) = seen.entry(malformed.seq) {
            entry.insert(false);
            judgement.reject(malformed.seq, RejectReason::Malformed, malformed.message);
        }
    }
    for observation in std::mem::take(&mut report.observations) {
        match seen.entry(observation.seq) {
            Entry::Occupied(entry) => judgement.repeated += u32::from(*entry.get()),
            Entry::Vacant(entry) => {
                entry.insert(judgement.judge_one(observation, device, clock, bindings, policy));
            }
        }
    }
    judgement
}

impl Judgement {
    /// Takes back the refusal of what was settled before: one observation has one fate. It goes to history once
    /// more, which has it already and compares: under a settled sequence a copy of the queue may send another observation
    /// . And it may become a status, if its process is bound to `device`: an exchange that was cut off after
    /// history may not have got that far.
    pub fn acknowledge(&mut self, settled_before: &[Sequence], device: &DeviceName, bindings: &Bindings) {
        let known: HashSet<Sequence> = settled_before.iter().copied().collect();
        self.rejections
            .retain(|rejection| !known.contains(&rejection.seq));
        let kept = known
            .iter()
            .filter_map(|sequence| self.refused_now.remove(sequence));
        let mut rows: Vec<HistoryRow> = kept
            .map(|observation| HistoryRow {
                observation,
                corrected_at: None,
                orphaned: false,
            })
            .collect();
        rows.sort_unstable_by_key(|row| row.observation.seq);
        let own = rows
            .iter()
            .filter(|row| bindings.get(&row.observation.process) == Some(device));
        for row in own {
            self.nominate(&row.observation, row.corrected_at);
        }
        self.rows.append(&mut rows);
    }

    /// Whether the report has an observation of this sequence that was fit to be kept at some time.
    pub fn names(&self, sequence: Sequence) -> bool {
        let is_it = |row: &HistoryRow| row.observation.seq == sequence;
        self.rows.iter().any(is_it) || self.refused_now.contains_key(&sequence)
    }

    /// Returns whether the observation was taken.
    fn judge_one(
        &mut self,
        observation: Observation,
        device: &DeviceName,
        clock: ClockReading,
        bindings: &Bindings,
        policy: &Policy,
    ) -> bool {
        let seq = observation.seq;
        if let Err(defect) = observation.check() {
            self.reject(seq, RejectReason::Malformed, defect.to_string());
            return false;
        }
        let bound_to = bindings.get(&observation.process);
        if bound_to.is_some_and(|bound_to| bound_to != device) {
            let message = format!("process {} is bound to another device", observation.process);
            self.reject(seq, RejectReason::NotBound, message);
            self.refused_now.insert(seq, observation);
            return false;
        }
        match clock.place(observation.observed_at, observation.clock, policy) {
            Err(impossible) => {
                self.reject(seq, impossible.reason(), impossible.to_string());
                self.refused_now.insert(seq, observation);
                false
            }
            Ok(corrected_at) => {
                let orphaned = bound_to.is_none();
                if !orphaned {
                    self.nominate(&observation, corrected_at);
                }
                self.rows.push(HistoryRow {
                    observation,
                    corrected_at,
                    orphaned,
                });
                true
            }
        }
    }

    /// Keeps the observation as its process's candidate if it is the latest with a state.
    fn nominate(&mut self, observation: &Observation, corrected_at: Option<UnixMillis>) {
        let later = |held: &Observed| observation.seq > held.observation.seq;
        if observation.state.is_some() && self.candidates.get(&observation.process).is_none_or(later) {
            self.candidates.insert(
                observation.process.clone(),
                Observed {
                    observation: observation.clone(),
                    corrected_at,
                },
            );
        }
    }

    fn reject(&mut self, seq: Sequence, reason: RejectReason, message: String) {
        self.rejections.push(Rejection { seq, reason, message });
    }
}
