//! Reports in pieces, twice, interleaved on the same objects, with conflicts, refusals, lost answers and a
//! lagging cache: nothing is lost, every status is the maximum, no verdict comes early, no field of another
//! writer is touched.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop where it fails"
)]

mod memory;

use std::collections::{BTreeMap, BTreeSet};

use apollo_gateway_core::{
    exchange::{Concluded, Exchange, Outcome},
    machine::{Machine, Step},
    object::SyncPoint,
    policy::Policy,
};
use apollo_wire::{Observation, ProcessState, Report, SequenceRange};
use memory::{Fault, Memory, device, now, report, running};
use proptest::prelude::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// What a device saw is a function of who saw it and when: the same sequence always carries the same
/// observation.
fn observation(life: u8, seq: u64) -> Observation {
    let name = NAMES[usize::try_from(seq * 7 + u64::from(life)).unwrap() % NAMES.len()];
    let mut observation = running(seq, name);
    observation.pid = Some(u32::from(life) * 1000 + u32::try_from(seq).unwrap());
    observation.state = match seq % 4 {
        0 => None,
        1 => Some(ProcessState::Running),
        2 => Some(ProcessState::Backoff),
        _ => Some(ProcessState::Failed),
    };
    observation
}

fn frames() -> impl Strategy<Value = Vec<Report>> {
    let frame = (1..=2_u8, prop::collection::vec(1..24_u64, 0..8));
    prop::collection::vec(frame, 1..7).prop_map(|frames| {
        let report_of = |(life, seqs): (u8, Vec<u64>)| {
            report(life, seqs.into_iter().map(|seq| observation(life, seq)).collect())
        };
        frames.into_iter().map(report_of).collect()
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::Unavailable),
        1 => Just(Fault::LostReply),
        2 => Just(Fault::ForeignWrite),
    ]
}

/// Which exchange makes its next step, what goes wrong with it, and whether the cache begins to lag before.
fn turn() -> impl Strategy<Value = (prop::sample::Index, Fault, bool)> {
    (any::<prop::sample::Index>(), fault(), prop::bool::weighted(0.05))
}

/// One report on its way: 503 makes the device send it again.
struct Running {
    report: Report,
    exchange: Exchange,
    step: Option<Step<Concluded>>,
}

impl Running {
    fn new(report: Report) -> Self {
        let policy = Policy {
            cas_attempts: 3,
            ..Policy::default()
        };
        let mut exchange = Exchange::new(device("buoy"), report.clone(), now(), policy, 1);
        let step = Some(exchange.start());
        Self {
            report,
            exchange,
            step,
        }
    }

    /// One step; `true` once it has its verdicts.
    fn advance(&mut self, store: &mut Memory, fault: Fault) -> bool {
        let step = match self.step.take() {
            None => return true,
            Some(Step::Request(request)) => self.exchange.on_reply(store.execute_with(request, fault)),
            Some(Step::Pause(_)) => self.exchange.on_pause_over(),
            Some(Step::Done(concluded)) => match concluded.outcome {
                Outcome::Settled { verdicts, .. } => {
                    assert_committed(store, &self.report, &verdicts.acked);
                    return true;
                }
                Outcome::Busy { .. } => {
                    *self = Self::new(self.report.clone());
                    return false;
                }
                Outcome::Refused(refusal) => panic!("{refusal}"),
            },
        };
        self.step = Some(step);
        false
    }
}

/// at the moment of a verdict, history and status of everything it names have committed.
fn assert_committed(store: &Memory, report: &Report, acked: &[SequenceRange]) {
    let epoch = epoch_of(store, report);
    for observation in &report.observations {
        assert!(
            acked.iter().any(|range| range.contains(observation.seq)),
            "R-03: not named"
        );
        assert!(
            store
                .history()
                .contains_key(&(device("buoy"), report.instance, observation.seq)),
            "R-03: history"
        );
        if observation.state.is_some() {
            let sync = store.status(observation.process.name()).sync;
            assert!(
                sync >= Some(SyncPoint {
                    epoch,
                    sequence: observation.seq
                }),
                "R-03: status {sync:?}"
            );
        }
    }
}

fn epoch_of(store: &Memory, report: &Report) -> u32 {
    let instances = &store.device("buoy").status.instances;
    instances
        .iter()
        .find(|entry| entry.id == report.instance)
        .unwrap()
        .epoch
}

/// The ten-line twin: per process the observation with a state and the greatest (epoch, sequence).
fn reference(store: &Memory, reports: &[Report]) -> BTreeMap<String, (SyncPoint, Observation)> {
    let mut latest = BTreeMap::<String, (SyncPoint, Observation)>::new();
    for report in reports {
        let epoch = epoch_of(store, report);
        for seen in report.observations.iter().filter(|seen| seen.state.is_some()) {
            let sync = SyncPoint {
                epoch,
                sequence: seen.seq,
            };
            let held = latest
                .entry(seen.process.name().into())
                .or_insert_with(|| (sync, seen.clone()));
            if sync > held.0 {
                *held = (sync, seen.clone());
            }
        }
    }
    latest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn r03_r04_r05_nothing_is_lost_or_early_and_status_is_the_maximum(
        frames in frames(),
        schedule in prop::collection::vec(turn(), 0..200),
    ) {
        let mut store = Memory::with(&[("a", "buoy"), ("b", "buoy"), ("c", "buoy")]);
        // Each frame runs twice, as a replay on another replica would.
        let mut running: Vec<Running> = frames.iter().chain(&frames).cloned().map(Running::new).collect();
        for (which, fault, lag) in schedule {
            if lag {
                store.freeze_cache();
            }
            let which = which.index(running.len());
            running[which].advance(&mut store, fault);
        }
        store.cache = None;
        for one in &mut running {
            let ended = (0..1000).any(|_| one.advance(&mut store, Fault::None));
            prop_assert!(ended, "R-12: no end without faults");
        }
        let expected = reference(&store, &frames);
        for name in NAMES {
            let status = store.status(name);
            let (sync, seen) = expected.get(name).cloned().unzip();
            prop_assert_eq!(status.sync, sync, "R-04");
            prop_assert_eq!(status.pid, seen.as_ref().and_then(|seen| seen.pid));
            prop_assert_eq!(status.state, seen.as_ref().and_then(|seen| seen.state));
            if store.foreign_writes > 0 {
                let count = store.foreign_writes;
                prop_assert_eq!(&status.foreign["others"], count, "R-05: a foreign field was lost");
                prop_assert_eq!(&status.conditions[0].message, &count.to_string(), "R-05");
            }
        }
        let keys = |frame: &Report| {
            let life = frame.instance;
            frame.observations.iter().map(move |seen| (life, seen.seq)).collect::<Vec<_>>()
        };
        let sent: BTreeSet<_> = frames.iter().flat_map(keys).collect();
        let kept: BTreeSet<_> = store.history().keys().map(|(_, life, seq)| (*life, *seq)).collect();
        prop_assert_eq!(sent, kept, "R-04: history is the set of what was sent");
        // once more, all of it: nothing would change, so nothing is written.
        let before = (store.process_writes, store.device_writes);
        for frame in &frames {
            let _ = store.report("buoy", frame.clone());
        }
        prop_assert_eq!((store.process_writes, store.device_writes), before, "R-06");
    }

    #[test]
    fn r04_splitting_shuffling_and_repeating_a_report_changes_nothing(
        seqs in prop::collection::vec(1..40_u64, 1..20),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        order in any::<prop::sample::Index>(),
    ) {
        let whole: Vec<Observation> = seqs.iter().map(|seq| observation(1, *seq)).collect();
        let mut once = Memory::with(&[("a", "buoy"), ("b", "buoy"), ("c", "buoy")]);
        let _ = once.report("buoy", report(1, whole.clone()));
        let mut pieces = Memory::with(&[("a", "buoy"), ("b", "buoy"), ("c", "buoy")]);
        let mut rest = whole;
        let start = order.index(rest.len());
        rest.rotate_left(start);
        for cut in cuts {
            let piece = rest.split_off(cut.index(rest.len().max(1)).min(rest.len()));
            let _ = pieces.report("buoy", report(1, piece.clone()));
            let _ = pieces.report("buoy", report(1, piece));
        }
        let _ = pieces.report("buoy", report(1, rest));
        prop_assert_eq!(once.history(), pieces.history());
        for name in NAMES {
            prop_assert_eq!(once.status(name), pieces.status(name));
        }
    }
}
