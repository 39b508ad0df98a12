//! Telling from a reply that this queue is an old copy of itself.
//!
//! A device restored from an image, or two devices made from one, hand out sequences that the gateway has already seen
//! with other content. Settling such a reply would delete rows that nobody has.

use apollo_wire::Verdicts;

use super::event::Batch;

/// What in `verdicts` shows that the gateway knows more of this instance than the queue ever sent; `None` if nothing.
///
/// Three signs, each enough:
/// - the gateway has settled a sequence that this queue has yet to hand out;
/// - the gateway has settled a sequence above all that were ever offered, and not by this very reply. It settles
///   nothing of a report whose `offered_through` is behind what it knows, so then the reply does not name it;
/// - the reply names nothing of a report that had rows. A gateway that takes or refuses a report names its rows; it is
///   silent about all of them only if it has other rows under the same sequences. This is how two devices made from one
///   image look whose sequences run side by side: neither of the other signs shows then.
pub(super) fn sign_of_old_copy(verdicts: &Verdicts, batch: &Batch) -> Option<String> {
    let known = verdicts.highest_sequence;
    if known >= batch.next_sequence {
        let next = batch.next_sequence;
        return Some(format!(
            "the gateway knows sequence {known}, and the next of this queue is {next}"
        ));
    }
    if batch.rows > 0 && verdicts.acked.is_empty() && verdicts.rejected.is_empty() {
        let rows = batch.rows;
        return Some(format!(
            "the gateway neither took nor refused any of the {rows} rows offered: it has others under their sequences"
        ));
    }
    let acked = verdicts.acked.iter().map(|range| range.last);
    let rejected = verdicts.rejected.iter().map(|rejection| rejection.seq);
    let explained = acked.chain(rejected).fold(batch.offered_through, u64::max);
    (known > explained).then(|| {
        let offered = batch.offered_through;
        format!("the gateway knows sequence {known}, and this queue had offered only up to {offered}")
    })
}

#[cfg(test)]
mod tests {
    use apollo_wire::{RejectReason, Rejection, SequenceRange, UnixMillis};

    use super::*;

    fn verdicts(highest_sequence: u64, acked: &[(u64, u64)]) -> Verdicts {
        Verdicts {
            epoch: 1,
            highest_sequence,
            acked: acked.iter().copied().map(SequenceRange::from).collect(),
            accepted: 0,
            duplicates: 0,
            orphaned: 0,
            rejected: vec![],
            server_time: UnixMillis::saturating(0),
            clock_skew_ms: 0,
        }
    }

    fn batch(offered_through: u64, next_sequence: u64) -> Batch {
        Batch {
            rows: 1,
            more: false,
            next_sequence,
            offered_through,
        }
    }

    fn heartbeat(offered_through: u64, next_sequence: u64) -> Batch {
        Batch {
            rows: 0,
            ..batch(offered_through, next_sequence)
        }
    }

    #[test]
    fn r10_a_first_report_and_a_retry_are_no_old_copies() {
        for (reply, batch) in [
            (verdicts(0, &[]), heartbeat(0, 1)),
            (verdicts(10, &[(1, 10)]), batch(0, 11)),
            (verdicts(10, &[(1, 10)]), batch(10, 11)),
            (verdicts(4, &[(5, 10)]), batch(4, 11)),
        ] {
            assert_eq!(sign_of_old_copy(&reply, &batch), None, "{reply:?} {batch:?}");
        }
    }

    #[test]
    fn r10_a_sequence_not_yet_handed_out_gives_it_away_at_the_limit_and_not_before() {
        assert!(sign_of_old_copy(&verdicts(11, &[]), &batch(11, 11)).is_some());
        assert!(sign_of_old_copy(&verdicts(10, &[(1, 1)]), &batch(10, 11)).is_none());
        // Even if the reply itself names it: this queue cannot have sent it.
        assert!(sign_of_old_copy(&verdicts(11, &[(1, 11)]), &batch(10, 11)).is_some());
    }

    #[test]
    fn r10_a_sequence_never_offered_gives_it_away_even_below_the_own_next() {
        // Restored at 50 offered, ten rows made since; the earlier life had got to 55.
        assert!(sign_of_old_copy(&verdicts(55, &[]), &batch(50, 61)).is_some());
        assert!(sign_of_old_copy(&verdicts(50, &[(51, 60)]), &batch(50, 61)).is_none());
    }

    #[test]
    fn r10_silence_about_rows_gives_it_away_and_silence_about_none_does_not() {
        assert!(sign_of_old_copy(&verdicts(10, &[]), &batch(10, 11)).is_some());
        assert!(sign_of_old_copy(&verdicts(10, &[]), &heartbeat(10, 11)).is_none());
        let rejection = Rejection {
            seq: 10,
            reason: RejectReason::NotBound,
            message: String::new(),
        };
        let refused = Verdicts {
            rejected: vec![rejection],
            ..verdicts(10, &[])
        };
        assert!(sign_of_old_copy(&refused, &batch(10, 11)).is_none());
    }
}
