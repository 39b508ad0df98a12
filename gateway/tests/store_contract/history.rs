//! What history must do, whoever keeps it: written against two replicas' ways to carry out a request, so that it also runs
//! for a history without objects.

use apollo_gateway_core::store::{HistoryRow, OnConflict, StoreReply, StoreRequest};
use apollo_wire::{Clock, ProcessState, UnixMillis};

use crate::store_values::{append, device, instance, process, row};

/// G-04: history is a set; appending in pieces, twice and out of order gives the same as appending once.
pub(crate) async fn history_is_a_set(
    first: impl AsyncFn(StoreRequest) -> StoreReply,
    second: impl AsyncFn(StoreRequest) -> StoreReply,
) {
    let rows = |seqs: &[u64]| seqs.iter().map(|seq| row(*seq)).collect::<Vec<_>>();
    let appended = |new: &[bool], highest| StoreReply::HistoryAppended {
        new: new.to_vec(),
        highest,
    };
    let once = first(append("buoy", 1, rows(&[5, 3, 9]))).await;
    assert_eq!(once, appended(&[true; 3], 9));
    let again = second(append("buoy", 1, rows(&[3, 4, 9, 4]))).await;
    assert_eq!(again, appended(&[false, true, false, false], 9));
    let other_device = second(append("truck", 1, rows(&[3]))).await;
    assert_eq!(other_device, appended(&[true], 3));
    for (name, of, highest) in [("buoy", 1, 9), ("truck", 1, 3), ("buoy", 2, 0)] {
        let request = StoreRequest::ReadHighest {
            device: device(name),
            instance: instance(of),
        };
        assert_eq!(first(request).await, StoreReply::Highest(highest), "{name} {of}");
    }
}

/// where a copy must be told from a retry, other content refuses the whole append, gaps included; the same content
/// with its clock judged anew does not.
pub(crate) async fn history_refuses_another_observation_under_the_same_sequence(
    first: impl AsyncFn(StoreRequest) -> StoreReply,
    second: impl AsyncFn(StoreRequest) -> StoreReply,
) {
    let strictly = |rows: Vec<HistoryRow>| {
        let mut request = append("buoy", 1, rows);
        if let StoreRequest::AppendHistory { on_conflict, .. } = &mut request {
            *on_conflict = OnConflict::RefuseOther;
        }
        request
    };
    first(append("buoy", 1, vec![row(3), row(5)])).await;
    let mut retry = row(5);
    retry.observation.clock = Clock::Unknown;
    retry.orphaned = true;
    let reply = second(strictly(vec![retry, row(6)])).await;
    let (new, highest) = (vec![false, true], 6);
    assert_eq!(reply, StoreReply::HistoryAppended { new, highest });
    for change in [
        (|row| row.observation.message = "another".into()) as fn(&mut HistoryRow),
        |row| row.observation.state = Some(ProcessState::Failed),
        |row| row.observation.exit_code = Some(0),
        |row| row.observation.observed_at = UnixMillis::saturating(1_001),
        |row| row.observation.process = process("q"),
    ] {
        let mut other = row(5);
        change(&mut other);
        let reply = second(strictly(vec![row(7), other, row(8)])).await;
        assert_eq!(reply, StoreReply::HistoryDiverged { highest: 6 });
    }
    let asked = StoreRequest::ReadSettled {
        device: device("buoy"),
        instance: instance(1),
        sequences: vec![8, 6, 7, 3],
    };
    assert_eq!(
        first(asked).await,
        StoreReply::Settled(vec![6, 3]),
        "nothing of the refused appends was kept"
    );
}

/// The greatest sequence that exists is stored; an append without rows is fine.
pub(crate) async fn the_ends_of_the_sequences_fit(
    first: impl AsyncFn(StoreRequest) -> StoreReply,
    _second: impl AsyncFn(StoreRequest) -> StoreReply,
) {
    let last = apollo_wire::limits::SEQUENCE_MAX;
    let reply = first(append("buoy", 1, vec![row(0), row(last)])).await;
    assert_eq!(
        reply,
        StoreReply::HistoryAppended {
            new: vec![true; 2],
            highest: last
        }
    );
    let nothing = first(append("truck", 1, vec![])).await;
    assert_eq!(
        nothing,
        StoreReply::HistoryAppended {
            new: vec![],
            highest: 0
        }
    );
}
