//! a row leaves by a verdict that names it, and by nothing else. Q-13: one that comes back is a new one.
//! dead letters are bounded.

use apollo_agent::queue::SettleError;
use apollo_wire::InstanceId;

use crate::support::{Scratch, row, verdicts};

#[test]
fn acked_rows_go_refused_rows_become_dead_letters_and_the_others_stay() {
    let mut scratch = Scratch::new();
    scratch.append(5);
    let batch = scratch.offer();
    let settled = scratch
        .queue
        .settle(batch.instance, &[], &verdicts(&[(1, 2), (5, 5)], &[3]))
        .unwrap();
    assert_eq!((settled.acked, settled.dead, settled.pending), (3, 1, 1));
    scratch.reopen();
    assert_eq!(scratch.pending(), [4]);
    let dead = scratch.queue.dead().unwrap();
    assert_eq!(
        (dead[0].seq, dead[0].rejection.as_str(), dead[0].detail.as_str()),
        (3, "NotBound", "not yours")
    );
    assert_eq!(
        scratch
            .queue
            .sync_status(crate::support::NOW.now)
            .unwrap()
            .acked_total,
        3
    );
}

#[test]
fn the_same_reply_again_changes_nothing() {
    let mut scratch = Scratch::new();
    scratch.append(3);
    let batch = scratch.offer();
    let reply = verdicts(&[(1, 1)], &[2]);
    scratch.queue.settle(batch.instance, &[], &reply).unwrap();
    let again = scratch.queue.settle(batch.instance, &[], &reply).unwrap();
    assert_eq!((again.acked, again.dead, again.pending), (0, 0, 1));
    assert_eq!(scratch.queue.dead().unwrap().len(), 1);
}

#[test]
fn verdicts_for_another_instance_settle_nothing() {
    let mut scratch = Scratch::new();
    scratch.append(2);
    scratch.offer();
    let other = InstanceId::from_bytes([7; 16]);
    let refused = scratch.queue.settle(other, &[], &verdicts(&[(1, 2)], &[]));
    assert!(matches!(refused, Err(SettleError::OtherInstance { .. })));
    assert_eq!(scratch.pending(), [1, 2]);
}

#[test]
fn a_gateway_that_acks_everything_settles_only_what_was_offered() {
    let mut scratch = Scratch::new();
    scratch.append(2);
    let batch = scratch.offer();
    scratch.append(2);
    let reply = verdicts(&[(0, u64::MAX)], &[3, u64::MAX]);
    let settled = scratch.queue.settle(batch.instance, &[], &reply).unwrap();
    assert_eq!((settled.acked, settled.dead), (2, 0));
    assert_eq!(scratch.pending(), [3, 4]);
}

#[test]
fn backward_and_overlapping_ranges_do_no_harm() {
    let mut scratch = Scratch::new();
    scratch.append(4);
    let batch = scratch.offer();
    let settled = scratch
        .queue
        .settle(batch.instance, &[], &verdicts(&[(3, 1), (1, 2), (2, 3)], &[]))
        .unwrap();
    assert_eq!(settled.acked, 3);
    assert_eq!(scratch.pending(), [4]);
    let stats = scratch.queue.stats().unwrap();
    assert_eq!(
        (stats.rows, stats.bytes),
        (1, scratch.queue.list(1).unwrap()[0].bytes)
    );
}

#[test]
fn a_row_both_acked_and_refused_is_kept_as_a_dead_letter() {
    let mut scratch = Scratch::new();
    scratch.append(1);
    let batch = scratch.offer();
    let settled = scratch
        .queue
        .settle(batch.instance, &[], &verdicts(&[(1, 1)], &[1, 1]))
        .unwrap();
    assert_eq!((settled.acked, settled.dead), (0, 1));
}

#[test]
fn a_requeued_dead_letter_gets_a_new_sequence_and_keeps_its_content() {
    let mut scratch = Scratch::new();
    scratch.queue.append(&[row("first"), row("second")]).unwrap();
    let batch = scratch.offer();
    scratch
        .queue
        .settle(batch.instance, &[], &verdicts(&[(2, 2)], &[1]))
        .unwrap();
    assert_eq!(scratch.queue.requeue(&[1, 2, 99]).unwrap(), [(1, 3)]);
    let mut expected = batch.observations[0].clone();
    expected.seq = 3;
    assert_eq!(scratch.batch().observations, [expected]);
    assert_eq!(scratch.queue.dead().unwrap(), []);
}

#[test]
fn dead_letters_are_bounded_and_the_oldest_go_first() {
    const BOUND: u64 = 1_000;
    let mut scratch = Scratch::new();
    scratch.append(1_001);
    let batch = scratch.offer();
    let first: Vec<u64> = (1..=BOUND).collect();
    scratch
        .queue
        .settle(batch.instance, &[], &verdicts(&[], &first))
        .unwrap();
    assert_eq!(scratch.queue.stats().unwrap().dead, BOUND);
    scratch
        .queue
        .settle(batch.instance, &[], &verdicts(&[], &[BOUND + 1]))
        .unwrap();
    let dead = scratch.queue.dead().unwrap();
    assert_eq!((dead.len(), dead[0].seq), (1_000, 2));
    let dropped = "SELECT value FROM sync_status WHERE key = 'dead_letters_dropped'";
    assert_eq!(
        scratch
            .sqlite()
            .query_row(dropped, [], |row| row.get::<_, String>(0))
            .unwrap(),
        "1"
    );
}
