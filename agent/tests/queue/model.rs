//! The queue against a simple twin: a list in memory. Any sequence of actions leaves both the same, and every sequence
//! ever handed out is accounted for: pending, settled, a dead letter, or in a gap.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use apollo_agent::queue::QueueLimits;
use apollo_wire::{Sequence, SequenceRange};
use proptest::prelude::*;

use crate::support::{Scratch, row, verdicts};

#[derive(Debug, Clone)]
enum Action {
    /// Messages of these lengths.
    Append(Vec<u8>),
    Offer,
    /// Positions among the pending rows, and whether each is refused.
    Settle(Vec<(u8, bool)>),
    Requeue(u8),
    Purge,
    Renew,
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        5 => prop::collection::vec(0_u8..200, 1..6).prop_map(Action::Append),
        3 => Just(Action::Offer),
        5 => prop::collection::vec((0_u8..10, prop::bool::weighted(0.3)), 0..6).prop_map(Action::Settle),
        1 => (0_u8..10).prop_map(Action::Requeue),
        1 => Just(Action::Purge),
        1 => Just(Action::Renew),
        1 => Just(Action::Reopen),
    ]
}

const LIMITS: QueueLimits = QueueLimits {
    max_rows: 8,
    max_bytes: 1_000,
};

/// What a row of [`row`] counts, its message aside.
const ROW_BYTES: usize = 48 + "default/a".len() + "Running".len();

#[derive(Default)]
struct Twin {
    pending: VecDeque<(Sequence, usize)>,
    dead: BTreeMap<Sequence, usize>,
    lost: BTreeSet<Sequence>,
    high_water: Sequence,
    offered: Sequence,
    dropped: u64,
}

impl Twin {
    fn push(&mut self, message: usize) {
        self.high_water += 1;
        self.pending.push_back((self.high_water, message));
    }

    fn bytes(&self) -> usize {
        self.pending.iter().map(|(_, message)| ROW_BYTES + message).sum()
    }

    fn trim(&mut self) {
        let max_bytes = usize::try_from(LIMITS.max_bytes).unwrap();
        while self.pending.len() > 1 && (self.pending.len() > 8 || self.bytes() > max_bytes) {
            self.lost
                .extend(self.pending.pop_front().map(|(sequence, _)| sequence));
            self.dropped += 1;
        }
    }

    fn settle(&mut self, sequence: Sequence, refused: bool) {
        if sequence > self.offered {
            return;
        }
        let Some(at) = self.pending.iter().position(|(found, _)| *found == sequence) else {
            return;
        };
        let settled = self.pending.remove(at);
        if refused {
            self.dead.extend(settled);
        }
    }

    fn renew(&mut self) {
        let lowest = self
            .pending
            .iter()
            .map(|(sequence, _)| *sequence)
            .chain(self.lost.iter().copied())
            .min();
        if let Some(lowest) = lowest {
            let distance = self.high_water - lowest + 1;
            self.pending
                .iter_mut()
                .for_each(|(sequence, _)| *sequence += distance);
            self.lost = self.lost.iter().map(|sequence| sequence + distance).collect();
            self.high_water += distance;
        }
        (self.offered, self.dropped) = (0, 0);
    }
}

fn apply(scratch: &mut Scratch, twin: &mut Twin, action: &Action) {
    match action {
        Action::Append(messages) => {
            let rows: Vec<_> = messages
                .iter()
                .map(|length| row(&"m".repeat(usize::from(*length))))
                .collect();
            let sequences = scratch.queue.append(&rows).unwrap();
            messages.iter().for_each(|length| twin.push(usize::from(*length)));
            assert_eq!(*sequences.end(), twin.high_water);
            twin.trim();
        }
        Action::Offer => {
            scratch.offer();
            twin.offered = twin.offered.max(twin.high_water);
        }
        Action::Settle(picks) => settle(scratch, twin, picks),
        Action::Requeue(at) => {
            let Some(old) = twin.dead.keys().nth(usize::from(*at)).copied() else {
                return;
            };
            let message = twin.dead.remove(&old).unwrap_or_default();
            twin.push(message);
            twin.trim();
            assert_eq!(scratch.queue.requeue(&[old]).unwrap(), [(old, twin.high_water)]);
        }
        Action::Purge => {
            assert_eq!(scratch.queue.purge().unwrap(), twin.pending.len() as u64);
            twin.lost
                .extend(twin.pending.drain(..).map(|(sequence, _)| sequence));
        }
        Action::Renew => {
            scratch.queue.renew_instance("test").unwrap();
            twin.renew();
        }
        Action::Reopen => scratch.reopen(),
    }
}

/// Verdicts on the picked rows; the gap records of the batch are taken with them.
fn settle(scratch: &mut Scratch, twin: &mut Twin, picks: &[(u8, bool)]) {
    let batch = scratch.batch();
    let (mut acked, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for (at, is_refused) in picks {
        let Some((sequence, _)) = twin.pending.get(usize::from(*at)) else {
            continue;
        };
        if *is_refused {
            refused.insert(*sequence)
        } else {
            acked.insert(*sequence)
        };
    }
    let ranges: Vec<(u64, u64)> = SequenceRange::collect(acked.iter().copied().collect())
        .into_iter()
        .map(Into::into)
        .collect();
    let refused: Vec<u64> = refused.into_iter().collect();
    scratch
        .queue
        .settle(batch.instance, &batch.gaps, &verdicts(&ranges, &refused))
        .unwrap();
    refused.iter().for_each(|sequence| twin.settle(*sequence, true));
    acked.iter().for_each(|sequence| twin.settle(*sequence, false));
    twin.lost.clear();
}

fn compare(scratch: &mut Scratch, twin: &Twin) {
    let batch = scratch.batch();
    let pending: Vec<_> = batch
        .observations
        .iter()
        .map(|found| (found.seq, found.message.len()))
        .collect();
    assert_eq!(pending, Vec::from(twin.pending.clone()));
    let lost: BTreeSet<_> = batch.gaps.iter().flat_map(|gap| gap.first..=gap.last).collect();
    assert_eq!(lost, twin.lost);
    let stats = scratch.queue.stats().unwrap();
    assert_eq!(
        (stats.rows, stats.bytes),
        (twin.pending.len() as u64, twin.bytes() as u64)
    );
    assert_eq!(
        (stats.dead, stats.dropped),
        (twin.dead.len() as u64, twin.dropped)
    );
    assert_eq!(batch.offered_through, twin.offered);
    assert_eq!(scratch.queue.high_water().unwrap(), twin.high_water);
    assert!(stats.rows <= 8 && (stats.bytes <= 1_000 || stats.rows == 1));
}

proptest! {
    // Each action syncs to disk: fewer cases than usual, and still some thousand actions.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_actions_leave_queue_and_twin_the_same(actions in prop::collection::vec(action(), 1..40)) {
        let mut scratch = Scratch::with_limits(LIMITS);
        let mut twin = Twin::default();
        for action in &actions {
            apply(&mut scratch, &mut twin, action);
            compare(&mut scratch, &twin);
        }
    }
}
