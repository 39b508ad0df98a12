//! The status join by itself: its laws, its conditions, and what it leaves alone.
#![expect(clippy::unwrap_used, reason = "a failing test should stop where it fails")]

mod memory;

use apollo_gateway_core::{
    conditions,
    join::{Candidate, join_process},
    object::{DesiredPhase, DeviceState, ProcessObject, SyncPoint},
};
use apollo_wire::ProcessState;
use memory::{now, object, running, spec};
use proptest::prelude::*;

fn candidate(epoch: u32, sequence: u64) -> Candidate {
    let mut observation = running(sequence, "own");
    observation.pid = Some(epoch * 100 + u32::try_from(sequence).unwrap());
    Candidate {
        sync: SyncPoint { epoch, sequence },
        corrected_at: Some(observation.observed_at),
        observation,
    }
}

fn joined(current: &ProcessObject, candidate: &Candidate) -> ProcessObject {
    let mut current = current.clone();
    if let Some(status) = join_process(&current, Some(candidate), DeviceState::Connected, now()) {
        current.status = status;
    }
    current
}

fn seen(state: ProcessState) -> ProcessObject {
    let mut latest = candidate(1, 1);
    latest.observation.state = Some(state);
    joined(&object("own", "buoy"), &latest)
}

fn ready(object: &ProcessObject) -> Option<(&str, &str)> {
    let condition = conditions::find(&object.status.conditions, conditions::READY)?;
    Some((&condition.status, &condition.reason))
}

proptest! {
    #[test]
    fn r04_the_join_is_the_maximum_in_any_order_and_number(
        points in prop::collection::vec((1..4_u32, 1..50_u64), 1..20),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let start = object("own", "buoy");
        let forwards = points.iter().fold(start.clone(), |held, &(e, s)| joined(&held, &candidate(e, s)));
        let mut rotated = points.clone();
        rotated.rotate_left(shuffled.index(points.len()));
        let twice = rotated.iter().chain(points.iter().rev());
        let backwards = twice.fold(start, |held, &(e, s)| joined(&held, &candidate(e, s)));
        prop_assert_eq!(&forwards, &backwards);
        let (epoch, sequence) = *points.iter().max().unwrap();
        prop_assert_eq!(forwards.status.sync, Some(SyncPoint { epoch, sequence }));
        prop_assert_eq!(forwards.status.pid, candidate(epoch, sequence).observation.pid);
    }
}

#[test]
fn r06_the_same_observation_again_changes_nothing() {
    let held = seen(ProcessState::Running);
    let later = now().plus(60_000);
    assert_eq!(
        join_process(&held, Some(&candidate(1, 1)), DeviceState::Connected, later),
        None
    );
    assert_eq!(join_process(&held, None, DeviceState::Connected, later), None);
    assert!(join_process(&held, Some(&candidate(1, 2)), DeviceState::Connected, later).is_some());
}

#[test]
fn every_condition_has_the_same_words_on_every_path() {
    let held = seen(ProcessState::Running);
    let lost = join_process(&held, None, DeviceState::Lost, now().plus(1)).unwrap();
    let condition = conditions::find(&lost.conditions, "AgentConnected").unwrap();
    assert_eq!(
        condition.last_transition_time.as_deref(),
        Some(now().plus(1).to_string().as_str())
    );
    let back = join_process(
        &ProcessObject {
            status: lost,
            ..held.clone()
        },
        None,
        DeviceState::Connected,
        now(),
    );
    assert_eq!(
        back.unwrap(),
        held.status,
        "reconnecting restores the very same condition"
    );
}

#[test]
fn a_transition_time_moves_only_with_the_status() {
    let mut held = seen(ProcessState::Running);
    held.generation = 2;
    let next = join_process(&held, None, DeviceState::Connected, now().plus(5)).unwrap();
    let condition = conditions::find(&next.conditions, conditions::READY).unwrap();
    assert_eq!(condition.observed_generation, Some(2));
    assert_eq!(
        condition.last_transition_time.as_deref(),
        Some(now().to_string().as_str())
    );
}

#[test]
fn ready_means_as_the_spec_asks_at_the_current_generation() {
    use ProcessState::{Backoff, Failed, Pending, Running, Stopped, Succeeded};
    let as_desired = |wants, state| {
        let held = ProcessObject { wants, ..seen(state) };
        let status = join_process(&held, None, DeviceState::Connected, now()).unwrap_or(held.status.clone());
        ready(&ProcessObject { status, ..held }) == Some(("True", "AsDesired"))
    };
    for state in [Pending, Running, Backoff, Succeeded, Failed, Stopped] {
        assert_eq!(as_desired(DesiredPhase::Running, state), state == Running);
        assert_eq!(
            as_desired(DesiredPhase::RunningOrSucceeded, state),
            matches!(state, Running | Succeeded)
        );
        assert_eq!(as_desired(DesiredPhase::Stopped, state), state == Stopped);
    }
}

#[test]
fn a_new_spec_is_not_ready_until_the_device_reports_on_it() {
    let mut held = seen(ProcessState::Running);
    assert_eq!(held.status.observed_generation, Some(1));
    (held.spec, held.generation) = (spec("two"), 2);
    held.status = join_process(&held, None, DeviceState::Connected, now()).unwrap();
    assert_eq!(ready(&held), Some(("False", "SpecOutdated")));
    assert_eq!(
        held.status.observed_generation,
        Some(1),
        "what was observed stays observed"
    );
    let mut latest = candidate(1, 2);
    latest.observation.spec_hash = Some(spec("two").hash());
    let held = joined(&held, &latest);
    assert_eq!(
        (ready(&held), held.status.observed_generation),
        (Some(("True", "AsDesired")), Some(2))
    );
}

#[test]
fn an_observation_that_names_no_spec_leaves_ready_unknown() {
    let mut latest = candidate(1, 1);
    latest.observation.spec_hash = None;
    let held = joined(&object("own", "buoy"), &latest);
    assert_eq!(ready(&held), Some(("Unknown", "SpecUnknown")));
    assert_eq!(ready(&object("own", "buoy")), None);
}

#[test]
fn the_status_says_when_the_device_saw_it_and_when_the_gateway_received_it() {
    let latest = candidate(1, 1);
    let status = joined(&object("own", "buoy"), &latest).status;
    assert_eq!(status.last_report_time, Some(now()));
    assert_eq!(status.last_observed_time, latest.corrected_at);
    assert_ne!(status.last_observed_time, status.last_report_time);
}

#[test]
fn a_status_from_before_a_change_of_the_generation_alone_gets_the_new_one() {
    let mut current = seen(ProcessState::Running);
    assert_eq!(current.status.observed_generation, Some(1));
    current.generation = 2;
    let status = join_process(&current, None, DeviceState::Connected, now()).unwrap();
    assert_eq!(status.observed_generation, Some(2));
}

#[test]
fn a_later_observation_without_a_field_clears_it() {
    let mut latest = candidate(1, 2);
    latest.observation.pid = None;
    latest.corrected_at = None;
    let held = joined(&seen(ProcessState::Running), &latest);
    assert_eq!((held.status.pid, held.status.last_observed_time), (None, None));
}
