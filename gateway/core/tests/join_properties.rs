//! The join over whole statuses against its definition: of all observations, the one with the greatest (epoch, sequence)
//! is the status. Idempotent, commutative, associative, and the same however the observations are split.
#![expect(clippy::unwrap_used, reason = "a failing test should stop where it fails")]

mod memory;

use apollo_gateway_core::{
    join::{Candidate, join_process},
    object::{DeviceState, ProcessObject, ProcessStatus, SyncPoint},
};
use apollo_wire::{ProcessState, UnixMillis};
use memory::{now, object, running, spec};
use proptest::{collection::vec, prelude::*, sample::Index};

/// What a device saw at one point of its life: the same every time that point is told.
fn candidate((epoch, sequence): (u32, u64)) -> Candidate {
    use ProcessState::{Backoff, Failed, Pending, Running, Stopped, Succeeded};
    let seed = u32::try_from(u64::from(epoch) * 7 + sequence * 13).unwrap();
    let mut observation = running(sequence, "own");
    let states = [Pending, Running, Backoff, Succeeded, Failed, Stopped];
    observation.state = Some(states[seed as usize % states.len()]);
    observation.pid = (seed % 3 > 0).then_some(seed);
    observation.exit_code = (seed % 4 == 0).then_some(i32::try_from(seed).unwrap() - 50);
    observation.restarts = (seed % 5 > 1).then_some(seed % 11);
    observation.reason = format!("Reason{}", seed % 6);
    observation.message = format!("{epoch}/{sequence}");
    observation.spec_hash = [None, Some(spec("one").hash()), Some(spec("two").hash())][seed as usize % 3];
    Candidate {
        sync: SyncPoint { epoch, sequence },
        corrected_at: (seed % 2 == 0).then(|| UnixMillis::saturating(i64::from(seed) * 1000)),
        observation,
    }
}

/// The definition, in so many words: the greatest point's observation, field by field.
fn reference(points: &[(u32, u64)]) -> Observed {
    let Some(greatest) = points.iter().max() else {
        return observed(&ProcessStatus::default());
    };
    let Candidate {
        sync,
        observation: seen,
        corrected_at,
    } = candidate(*greatest);
    let numbers = (seen.pid, seen.exit_code, seen.restarts);
    let words = (seen.reason, seen.message);
    (
        Some(sync),
        seen.state,
        seen.spec_hash.map(|hash| hash.to_string()),
        numbers,
        words,
        corrected_at,
    )
}

/// The fields of a status that come from an observation.
type Observed = (
    Option<SyncPoint>,
    Option<ProcessState>,
    Option<String>,
    (Option<u32>, Option<i32>, Option<u32>),
    (String, String),
    Option<UnixMillis>,
);

fn observed(status: &ProcessStatus) -> Observed {
    (
        status.sync,
        status.state,
        status.observed_spec_hash.map(|hash| hash.to_string()),
        (status.pid, status.exit_code, status.restarts),
        (status.reason.clone(), status.message.clone()),
        status.last_observed_time,
    )
}

fn join(held: &ProcessObject, point: (u32, u64)) -> ProcessObject {
    let status = join_process(held, Some(&candidate(point)), DeviceState::Connected, now());
    ProcessObject {
        status: status.unwrap_or_else(|| held.status.clone()),
        ..held.clone()
    }
}

fn join_all(held: &ProcessObject, points: &[(u32, u64)]) -> ProcessObject {
    points
        .iter()
        .fold(held.clone(), |held, point| join(&held, *point))
}

fn points(most: usize) -> impl Strategy<Value = Vec<(u32, u64)>> {
    // Few epochs and sequences, so that points repeat; and the ends of both.
    let epoch = prop_oneof![8 => 1..4_u32, 1 => Just(u32::MAX / 100)];
    let sequence = prop_oneof![8 => 1..40_u64, 1 => Just(1 << 20)];
    vec((epoch, sequence), 0..most)
}

/// Points as the position of each in a new order.
fn shuffled(points: &[(u32, u64)], order: &[Index]) -> Vec<(u32, u64)> {
    let mut left = points.to_vec();
    let mut result = Vec::new();
    for place in order {
        if !left.is_empty() {
            result.push(left.remove(place.index(left.len())));
        }
    }
    [result, left].concat()
}

proptest! {
    #[test]
    fn r04_the_status_is_what_the_definition_says(points in points(30)) {
        let held = join_all(&object("own", "buoy"), &points);
        prop_assert_eq!(observed(&held.status), reference(&points));
    }

    #[test]
    fn r04_idempotent(points in points(20), again in vec(any::<Index>(), 1..10)) {
        let once = join_all(&object("own", "buoy"), &points);
        let repeated: Vec<_> = again.iter().filter(|_| !points.is_empty()).map(|at| points[at.index(points.len())]).collect();
        for point in &repeated {
            let twice = join_process(&once, Some(&candidate(*point)), DeviceState::Connected, now().plus(1));
            prop_assert_eq!(twice, None, "R-06: nothing to write for {:?}", point);
        }
    }

    #[test]
    fn r04_commutative(points in points(20), order in vec(any::<Index>(), 20)) {
        let start = object("own", "buoy");
        prop_assert_eq!(join_all(&start, &shuffled(&points, &order)), join_all(&start, &points));
    }

    #[test]
    fn r04_associative(one in points(10), other in points(10), third in points(10)) {
        // (one + other) + third and one + (other + third), where the sum of two sets is told by its status alone.
        let start = object("own", "buoy");
        let told = |held: &ProcessObject| held.status.sync.map(|sync| (sync.epoch, sync.sequence));
        let left = join_all(&join_all(&join_all(&start, &one), &other), &third);
        let later = join_all(&join_all(&start, &other), &third);
        let right = join_all(&join_all(&start, &one), told(&later).as_slice());
        prop_assert_eq!(left, right);
    }

    #[test]
    fn r04_split_invariant(points in points(30), cuts in vec(any::<Index>(), 0..6)) {
        // Each piece is a report: the gateway joins its greatest observation alone.
        let start = object("own", "buoy");
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(points.len() + 1)).collect();
        cuts.extend([0, points.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &points[pair[0]..pair[1]]);
        let held = pieces.fold(start.clone(), |held, piece| {
            let greatest: Vec<_> = piece.iter().max().copied().into_iter().collect();
            join_all(&held, &greatest)
        });
        prop_assert_eq!(held, join_all(&start, &points));
    }
}
