//! a database restored from an old copy becomes a new instance, and nothing old can be meant by it.

use std::fs;

use apollo_agent::queue::SettleError;

use crate::support::{NOW, Scratch, gap, row, verdicts};

#[test]
fn a_new_instance_renumbers_what_is_pending_above_everything_handed_out() {
    let mut scratch = Scratch::rows(4);
    scratch.append(6);
    let old = scratch.offer();
    assert_eq!(
        (scratch.pending(), scratch.gaps()),
        (vec![3, 4, 5, 6], vec![gap(1, 2, "QueueFull")])
    );
    scratch
        .queue
        .settle(old.instance, &[], &verdicts(&[(4, 4)], &[]))
        .unwrap();

    let new = scratch
        .queue
        .renew_instance("the gateway knows a later sequence")
        .unwrap();
    assert_ne!(new, old.instance);
    scratch.reopen();
    assert_eq!(scratch.queue.instance(), new);
    // 1 became 7; the distances stay.
    assert_eq!(
        (scratch.pending(), scratch.gaps()),
        (vec![9, 11, 12], vec![gap(7, 8, "QueueFull")])
    );
    let batch = scratch.batch();
    assert_eq!((batch.offered_through, batch.queue.dropped), (0, 0));
    assert_eq!(scratch.append(1), 13..=13);

    let late = scratch
        .queue
        .settle(old.instance, &old.gaps, &verdicts(&[(1, 100)], &[]));
    assert!(matches!(late, Err(SettleError::OtherInstance { .. })));
    let status = scratch.queue.sync_status(NOW.now).unwrap();
    assert_eq!(status.previous_instance, Some(old.instance.to_string()));
    assert_eq!(
        status.renewed_why.as_deref(),
        Some("the gateway knows a later sequence")
    );
    assert!(status.renewed_at.is_some());
}

#[test]
fn an_empty_queue_starts_a_new_instance_too_and_goes_on_counting() {
    let mut scratch = Scratch::new();
    scratch.queue.renew_instance("").unwrap();
    assert_eq!(scratch.append(2), 1..=2);
    scratch.queue.purge().unwrap();
    let sent = scratch.offer();
    scratch
        .queue
        .settle(sent.instance, &sent.gaps, &verdicts(&[], &[]))
        .unwrap();
    scratch.queue.renew_instance("").unwrap();
    assert_eq!(scratch.append(1), 3..=3);
}

#[test]
fn a_renewal_by_another_process_is_seen_at_the_next_batch() {
    let mut scratch = Scratch::new();
    scratch.append(1);
    let new = scratch.another().renew_instance("").unwrap();
    assert_eq!(scratch.batch().instance, new);
    assert_eq!(scratch.queue.instance(), new);
}

#[test]
fn an_old_copy_of_the_file_shows_itself_by_its_high_water_mark() {
    let mut scratch = Scratch::new();
    scratch.append(2);
    // A whole copy, log included, as an image of the disk has it.
    let image = tempfile::tempdir().unwrap();
    for file in ["agent.db", "agent.db-wal"] {
        fs::copy(scratch.dir.path().join(file), image.path().join(file)).unwrap();
    }
    scratch.append(3);
    assert_eq!(scratch.queue.next_sequence().unwrap(), 6);
    let limits = scratch.queue.limits();
    let mut restored =
        apollo_agent::queue::Queue::open_at_boot(image.path(), limits, "boot-b".to_owned()).unwrap();
    assert_eq!(
        (restored.instance(), restored.high_water().unwrap()),
        (scratch.queue.instance(), 2)
    );
    restored.renew_instance("restored").unwrap();
    assert_eq!(restored.append(&[row("")]).unwrap(), 5..=5);
}
