//! The queue against its twin in memory (`apollo-twins`): any sequence of actions leaves both the same. The simulator and
//! the model checker run on the twin and are worth what this comparison is worth.

use std::collections::BTreeSet;

use apollo_agent::queue::{NewObservation, QueueLimits};
use apollo_twins::queue as twins;
use apollo_wire::{Clock, Gap, InstanceId, ProcessState, Sequence, SequenceRange, Value, Verdicts};
use proptest::prelude::*;

use crate::support::{Scratch, row, verdicts};

#[derive(Debug, Clone)]
enum Action {
    Append(Vec<Row>),
    /// Reads at most so many rows and bytes, and marks them as offered.
    Offer(u8, u16),
    /// Positions among the pending rows, and whether each is refused.
    Settle(Vec<(u8, bool)>),
    /// The same verdicts for an instance that is not the queue's.
    SettleForAnother(Vec<(u8, bool)>),
    Requeue(u8),
    Purge,
    PurgeDead,
    Damage(u8),
    Renew(u8),
    /// Closes and opens, in this boot.
    Reopen(u8),
}

/// What differs between rows.
#[derive(Debug, Clone)]
struct Row {
    message_bytes: u16,
    unsynced: bool,
    values: u8,
    spec_hash: bool,
    state: Option<ProcessState>,
}

fn any_row() -> impl Strategy<Value = Row> {
    let lengths = prop_oneof![9 => 0_u16..200, 1 => 1_020_u16..1_030];
    let state = prop::option::of(prop::sample::select(vec![
        ProcessState::Running,
        ProcessState::Succeeded,
    ]));
    (lengths, any::<bool>(), 0_u8..3, any::<bool>(), state).prop_map(
        |(message_bytes, unsynced, values, spec_hash, state)| Row {
            message_bytes,
            unsynced,
            values,
            spec_hash,
            state,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let picks = || prop::collection::vec((0_u8..10, prop::bool::weighted(0.3)), 0..6);
    prop_oneof![
        5 => prop::collection::vec(any_row(), 1..6).prop_map(Action::Append),
        3 => (0_u8..10, 0_u16..2_000).prop_map(|(rows, bytes)| Action::Offer(rows, bytes)),
        5 => picks().prop_map(Action::Settle),
        1 => picks().prop_map(Action::SettleForAnother),
        1 => (0_u8..10).prop_map(Action::Requeue),
        1 => Just(Action::Purge),
        1 => Just(Action::PurgeDead),
        1 => (0_u8..10).prop_map(Action::Damage),
        1 => (0_u8..4).prop_map(Action::Renew),
        1 => (0_u8..3).prop_map(Action::Reopen),
    ]
}

const LIMITS: QueueLimits = QueueLimits {
    max_rows: 8,
    max_bytes: 1_500,
};

/// The twin's number for the boot that a [`Scratch`] begins in; none that [`Action::Reopen`] draws.
const FIRST_BOOT: twins::Boot = 100;

/// The queue, its twin, and the boot both are in.
struct Pair {
    scratch: Scratch,
    twin: twins::Queue,
    boot: twins::Boot,
    /// What the report on its way carries. Its rows may have to leave meanwhile.
    sent: Sent,
}

#[derive(Default)]
struct Sent {
    sequences: Vec<Sequence>,
    gaps: Vec<Gap>,
}

impl Pair {
    fn new() -> Self {
        let scratch = Scratch::with_limits(LIMITS);
        let limits = twins::Limits {
            max_rows: LIMITS.max_rows,
            max_bytes: LIMITS.max_bytes,
        };
        let twin = twins::Queue::new(scratch.queue.instance(), limits);
        Self {
            scratch,
            twin,
            boot: FIRST_BOOT,
            sent: Sent::default(),
        }
    }

    fn apply(&mut self, action: &Action) {
        let Self {
            scratch, twin, boot, ..
        } = self;
        match action {
            Action::Append(rows) => {
                let rows: Vec<NewObservation> = rows.iter().map(as_new).collect();
                let stored = scratch.queue.append(&rows).unwrap();
                let observations = rows.into_iter().map(|row| row.into_wire(0)).collect();
                assert_eq!(stored, twin.append(*boot, observations).unwrap());
            }
            Action::Offer(rows, bytes) => self.offer((*rows).into(), (*bytes).into()),
            Action::Settle(picks) => self.settle(picks, scratch_instance),
            Action::SettleForAnother(picks) => self.settle(picks, |_| InstanceId::from_bytes([0xee; 16])),
            Action::Requeue(at) => {
                let old = twin
                    .dead_letters()
                    .nth((*at).into())
                    .map(|letter| letter.observation.seq);
                let asked: Vec<Sequence> = old.into_iter().chain([u64::from(*at)]).collect();
                assert_eq!(scratch.queue.requeue(&asked).unwrap(), twin.requeue(&asked));
            }
            Action::Purge => assert_eq!(scratch.queue.purge().unwrap(), twin.purge()),
            Action::PurgeDead => assert_eq!(scratch.queue.purge_dead().unwrap(), twin.purge_dead()),
            Action::Damage(at) => {
                let picked = twin.observations().nth((*at).into()).map(|row| row.seq);
                let damage = "UPDATE observation SET process = 'no name' WHERE seq = ?1";
                if let Some(sequence) = picked {
                    scratch
                        .sqlite()
                        .execute(damage, [sequence.cast_signed()])
                        .unwrap();
                    assert!(twin.damage(sequence));
                }
            }
            Action::Renew(number) => {
                let new = InstanceId::from_bytes([*number; 16]);
                scratch.queue.renew_instance_as(new, "test").unwrap();
                twin.renew_instance(new);
            }
            Action::Reopen(into) => {
                scratch.reopen_at_boot(&format!("boot-{into}"));
                *boot = (*into).into();
            }
        }
    }

    fn offer(&mut self, max_rows: usize, max_bytes: usize) {
        let found = self.scratch.queue.next_batch(max_rows, max_bytes).unwrap();
        let expected = self.twin.next_batch(self.boot, max_rows, max_bytes as u64);
        assert_eq!(
            (found.instance, &found.observations, &found.gaps),
            (expected.instance, &expected.observations, &expected.gaps)
        );
        assert_eq!(
            (found.queue, found.offered_through),
            (expected.queue, expected.offered_through)
        );
        self.sent = Sent {
            sequences: found.observations.iter().map(|row| row.seq).collect(),
            gaps: found.gaps.clone(),
        };
        if let Some(range) = found.range() {
            self.scratch.queue.mark_offered(*range.end()).unwrap();
            self.twin.mark_offered(*range.end());
        }
    }

    /// Verdicts on the picked rows, those on their way and those never offered; the gap records sent are taken with them.
    fn settle(&mut self, picks: &[(u8, bool)], instance: fn(&Scratch) -> InstanceId) {
        let instance = instance(&self.scratch);
        let Sent { sequences, gaps } = &self.sent;
        let pending = self.twin.observations().map(|row| row.seq);
        let known: BTreeSet<Sequence> = pending.chain(sequences.iter().copied()).collect();
        let verdicts = verdicts_on(&known, picks);
        let found = self.scratch.queue.settle(instance, gaps, &verdicts);
        let expected = self.twin.settle(instance, gaps, &verdicts);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(
                (found.acked, found.dead, found.gaps, found.pending),
                (expected.acked, expected.dead, expected.gaps, expected.pending)
            ),
            (found, expected) => {
                assert!(found.is_err(), "{found:?}");
                assert!(expected.is_err(), "{expected:?}");
            }
        }
    }

    fn compare(&mut self) {
        let Self { scratch, twin, .. } = self;
        let stats = scratch.queue.stats().unwrap();
        assert_eq!(
            (stats.rows, stats.bytes, stats.dead, stats.dropped),
            (
                twin.pending(),
                twin.bytes(),
                twin.dead_letters().count() as u64,
                twin.dropped()
            )
        );
        assert_eq!(scratch.queue.high_water().unwrap(), twin.high_water());
        assert_eq!(scratch.queue.next_sequence().unwrap(), twin.next_sequence());
        assert!(stats.rows <= LIMITS.max_rows && (stats.bytes <= LIMITS.max_bytes || stats.rows == 1));
        let dead = scratch.queue.dead().unwrap();
        let mut found: Vec<_> = dead
            .iter()
            .map(|letter| (letter.seq, letter.rejection.as_str()))
            .collect();
        found.sort_unstable();
        let expected: Vec<_> = twin
            .dead_letters()
            .map(|letter| (letter.observation.seq, letter.rejection.as_str()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(scratch.gaps(), gaps_of(twin));
    }
}

fn scratch_instance(scratch: &Scratch) -> InstanceId {
    scratch.queue.instance()
}

fn gaps_of(twin: &twins::Queue) -> Vec<(u64, u64, String)> {
    let gap = |gap: &Gap| (gap.first, gap.last, format!("{:?}", gap.reason));
    twin.gaps().iter().map(gap).collect()
}

fn as_new(what: &Row) -> NewObservation {
    let mut new = row(&"m".repeat(what.message_bytes.into()));
    new.state = what.state;
    if what.unsynced {
        new.clock = Clock::Unsynced;
    }
    if what.spec_hash {
        new.spec_hash = Some(apollo_wire::SpecHash([7; 8]));
    }
    for number in 0..what.values {
        let value = Value::new(f64::from(number) * 1.5).unwrap();
        new.values.insert(format!("v{number}"), value);
    }
    new
}

fn verdicts_on(known: &BTreeSet<Sequence>, picks: &[(u8, bool)]) -> Verdicts {
    let (mut acked, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for (at, is_refused) in picks {
        let Some(sequence) = known.iter().nth(usize::from(*at)) else {
            continue;
        };
        if *is_refused {
            refused.insert(*sequence);
        } else {
            acked.insert(*sequence);
        }
    }
    let ranges: Vec<(u64, u64)> = SequenceRange::collect(acked.into_iter().collect())
        .into_iter()
        .map(Into::into)
        .collect();
    verdicts(&ranges, &refused.into_iter().collect::<Vec<_>>())
}

proptest! {
    // Each action syncs to disk: fewer cases than usual, and still some thousand actions.
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn any_actions_leave_queue_and_twin_the_same(actions in prop::collection::vec(action(), 1..40)) {
        let mut pair = Pair::new();
        for action in &actions {
            pair.apply(action);
            pair.compare();
        }
        // What is left, read as a report would.
        pair.offer(100, usize::MAX);
        pair.compare();
    }
}
