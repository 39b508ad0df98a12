//! the queue stays within its limits, and says what that cost.

use apollo_agent::queue::QueueLimits;
use apollo_wire::{Gap, GapReason};

use crate::support::{Scratch, gap, row, verdicts};

#[test]
fn the_row_limit_holds_at_the_limit_and_drops_the_oldest_one_past_it() {
    let mut scratch = Scratch::rows(3);
    scratch.append(3);
    assert_eq!((scratch.pending(), scratch.gaps()), (vec![1, 2, 3], vec![]));
    scratch.append(1);
    assert_eq!(
        (scratch.pending(), scratch.gaps()),
        (vec![2, 3, 4], vec![gap(1, 1, "QueueFull")])
    );
    let batch = scratch.batch();
    assert_eq!((batch.queue.pending, batch.queue.dropped), (3, 1));
    assert_eq!(
        batch.gaps,
        [Gap {
            first: 1,
            last: 1,
            reason: GapReason::QueueFull
        }]
    );
}

#[test]
fn the_byte_limit_holds_at_the_limit_and_drops_the_oldest_one_past_it() {
    let mut measure = Scratch::new();
    measure.append(1);
    let row_bytes = measure.queue.stats().unwrap().bytes;
    let mut scratch = Scratch::with_limits(QueueLimits {
        max_rows: 100,
        max_bytes: 3 * row_bytes,
    });
    scratch.append(3);
    assert_eq!(scratch.queue.stats().unwrap().bytes, 3 * row_bytes);
    assert_eq!(scratch.gaps(), []);
    // One byte more than fits: the oldest row goes.
    scratch.queue.append(&[row("x")]).unwrap();
    assert_eq!(scratch.pending(), [3, 4]);
    assert_eq!(scratch.gaps(), [gap(1, 2, "QueueFull")]);
}

#[test]
fn the_newest_row_always_has_a_place() {
    let mut scratch = Scratch::with_limits(QueueLimits {
        max_rows: 0,
        max_bytes: 0,
    });
    assert_eq!(scratch.append(5), 1..=5);
    assert_eq!(
        (scratch.pending(), scratch.gaps()),
        (vec![5], vec![gap(1, 4, "QueueFull")])
    );
}

#[test]
fn consecutive_losses_are_one_record_and_what_arrived_between_is_not_in_it() {
    let mut scratch = Scratch::rows(4);
    scratch.append(4);
    let batch = scratch.offer();
    scratch
        .queue
        .settle(batch.instance, &[], &verdicts(&[(2, 2)], &[]))
        .unwrap();
    scratch.append(4);
    assert_eq!(scratch.gaps(), [gap(1, 1, "QueueFull"), gap(3, 4, "QueueFull")]);
    scratch.append(2);
    assert_eq!(scratch.gaps(), [gap(1, 1, "QueueFull"), gap(3, 6, "QueueFull")]);
}

#[test]
fn a_record_that_grew_after_it_was_sent_keeps_what_the_gateway_has_not_seen() {
    let mut scratch = Scratch::rows(2);
    scratch.append(4);
    let sent = scratch.offer();
    assert_eq!(scratch.gaps(), [gap(1, 2, "QueueFull")]);
    scratch.append(1);
    let settled = scratch
        .queue
        .settle(sent.instance, &sent.gaps, &verdicts(&[], &[]))
        .unwrap();
    assert_eq!(settled.gaps, 1);
    assert_eq!(scratch.gaps(), [gap(3, 3, "QueueFull")]);
}

#[test]
fn rows_pushed_out_on_their_way_are_not_lost_once_they_are_acknowledged() {
    let mut scratch = Scratch::rows(3);
    scratch.append(4);
    let sent = scratch.offer();
    assert_eq!(sent.range(), Some(2..=4));
    scratch.append(2);
    assert_eq!(scratch.gaps(), [gap(1, 3, "QueueFull")]);
    // 2 and 4 arrived. 4 is still here; 3 is gone without a word from the gateway.
    let settled = scratch
        .queue
        .settle(sent.instance, &sent.gaps, &verdicts(&[(2, 2), (4, 4)], &[]))
        .unwrap();
    assert_eq!((settled.acked, settled.gaps, settled.pending), (1, 1, 2));
    assert_eq!(scratch.gaps(), [gap(3, 3, "QueueFull")]);
    assert_eq!(scratch.batch().queue.dropped, 2, "1 and 3");
}

#[test]
fn rows_purged_on_their_way_are_not_lost_once_they_are_acknowledged() {
    let mut scratch = Scratch::new();
    scratch.append(3);
    let sent = scratch.offer();
    scratch.queue.purge().unwrap();
    let never_offered = verdicts(&[(2, 9)], &[]);
    scratch
        .queue
        .settle(sent.instance, &sent.gaps, &never_offered)
        .unwrap();
    assert_eq!(scratch.gaps(), [gap(1, 1, "Purged")]);
    assert_eq!(scratch.batch().queue.dropped, 0);
}

#[test]
fn gap_records_are_bounded_and_never_say_too_little() {
    let count = 2 * (apollo_wire::limits::GAPS as u64 + 1);
    let mut scratch = Scratch::rows(count);
    scratch.append(usize::try_from(count).unwrap());
    let batch = scratch.offer();
    let even: Vec<(u64, u64)> = (1..=count / 2).map(|n| (2 * n, 2 * n)).collect();
    scratch
        .queue
        .settle(batch.instance, &[], &verdicts(&even, &[]))
        .unwrap();
    // One lone row more than there may be records.
    assert_eq!(scratch.queue.purge().unwrap(), count / 2);
    let gaps = scratch.gaps();
    assert_eq!(gaps.len(), apollo_wire::limits::GAPS);
    for lost in (1..count).step_by(2) {
        assert!(
            gaps.iter()
                .any(|(first, last, _)| (*first..=*last).contains(&lost)),
            "{lost}"
        );
    }
}

#[test]
fn a_purge_is_not_silent() {
    let mut scratch = Scratch::new();
    scratch.append(3);
    assert_eq!(scratch.queue.purge().unwrap(), 3);
    assert_eq!(
        (scratch.pending(), scratch.gaps()),
        (vec![], vec![gap(1, 3, "Purged")])
    );
    assert_eq!(scratch.queue.stats().unwrap().bytes, 0);
    assert_eq!(scratch.append(1), 4..=4);
    assert_eq!(scratch.queue.purge().unwrap(), 1);
    assert_eq!(scratch.gaps(), [gap(1, 4, "Purged")]);
}
