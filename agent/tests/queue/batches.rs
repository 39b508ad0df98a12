//! What goes into a report: oldest first, within bounds, never stuck on one row (Q-09), with clocks that are
//! worth what they are (Q-15).

use apollo_agent::queue::Queue;
use apollo_wire::{Clock, limits};

use crate::support::{NOW, Scratch, gap, row, verdicts};

#[test]
fn a_batch_takes_the_oldest_rows_up_to_either_bound() {
    let mut scratch = Scratch::new();
    scratch.append(5);
    let bytes = usize::try_from(scratch.queue.list(1).unwrap()[0].bytes).unwrap();
    let mut take = |max_rows, max_bytes| {
        scratch
            .queue
            .next_batch(max_rows, max_bytes)
            .unwrap()
            .observations
            .len()
    };
    assert_eq!(take(3, usize::MAX), 3);
    assert_eq!(take(10, 3 * bytes), 3);
    assert_eq!(take(10, 3 * bytes - 1), 2);
    assert_eq!(take(10, 0), 1, "one row always fits, or nothing would ever move");
    let batch = scratch.queue.next_batch(2, usize::MAX).unwrap();
    assert_eq!((batch.range(), batch.queue.pending), (Some(1..=2), 5));
}

#[test]
fn every_field_comes_back_as_it_went_in() {
    let mut scratch = Scratch::new();
    let json = r#"{"seq":1,"process":"default/a","observedAt":"2026-11-18T11:06:41.194Z","clock":"unknown",
        "state":"Backoff","specHash":"1818e811892f902b","pid":4294967295,"exitCode":-1,"restarts":3,
        "reason":"Exited","message":"z\u0000\"é","values":{"a":-0.5,"b":5321}}"#;
    let observation: apollo_wire::Observation = serde_json::from_str(json).unwrap();
    let rows = [apollo_agent::queue::NewObservation::from_wire(
        observation.clone(),
        9,
    )];
    scratch.queue.append(&rows).unwrap();
    assert_eq!(scratch.batch().observations, [observation]);
}

#[test]
fn a_long_message_is_cut_between_characters_and_other_bounds_are_refused() {
    let mut scratch = Scratch::new();
    let cut_inside = format!("{}é", "m".repeat(limits::MESSAGE_BYTES - 1));
    let fits = "m".repeat(limits::MESSAGE_BYTES);
    scratch.queue.append(&[row(&cut_inside), row(&fits)]).unwrap();
    let lengths: Vec<usize> = scratch
        .batch()
        .observations
        .iter()
        .map(|o| o.message.len())
        .collect();
    assert_eq!(lengths, [limits::MESSAGE_BYTES - 1, limits::MESSAGE_BYTES]);

    let mut long_reason = row("");
    long_reason.reason = "r".repeat(limits::REASON_BYTES + 1);
    let error = scratch.queue.append(&[row("fine"), long_reason]).unwrap_err();
    assert_eq!(error.to_string(), "observation 1 cannot be stored");
    assert_eq!(scratch.pending(), [1, 2], "all or none");
}

#[test]
fn a_free_clock_is_worth_something_only_in_its_own_boot() {
    let mut scratch = Scratch::new();
    let mut unsynced = row("");
    unsynced.clock = Clock::Unsynced;
    scratch.queue.append(&[unsynced.clone(), row("")]).unwrap();
    let clocks = |queue: &mut Queue| -> Vec<Clock> {
        queue
            .next_batch(10, usize::MAX)
            .unwrap()
            .observations
            .iter()
            .map(|o| o.clock)
            .collect()
    };
    assert_eq!(clocks(&mut scratch.queue), [Clock::Unsynced, Clock::Synced]);
    let limits = scratch.queue.limits();
    let mut later = Queue::open_at_boot(scratch.dir.path(), limits, "boot-b".to_owned()).unwrap();
    assert_eq!(clocks(&mut later), [Clock::Unknown, Clock::Synced]);
    later.append(&[unsynced]).unwrap();
    assert_eq!(
        clocks(&mut later),
        [Clock::Unknown, Clock::Synced, Clock::Unsynced]
    );
}

#[test]
fn an_unreadable_row_becomes_a_gap_and_the_rest_moves() {
    let mut scratch = Scratch::new();
    scratch.append(4);
    scratch
        .sqlite()
        .execute(
            "UPDATE observation SET process = 'nonsense', bytes = 'x' WHERE seq = 2",
            [],
        )
        .unwrap();
    assert_eq!(scratch.pending(), [1, 3, 4]);
    assert_eq!(scratch.gaps(), [gap(2, 2, "Corrupt")]);
    assert_eq!(scratch.batch().queue.pending, 3);
}

#[test]
fn the_offered_mark_is_durable_and_never_falls() {
    let mut scratch = Scratch::new();
    scratch.append(5);
    scratch.queue.mark_offered(3).unwrap();
    scratch.queue.mark_offered(2).unwrap();
    scratch.reopen();
    assert_eq!(scratch.batch().offered_through, 3);
    let watcher = scratch.another();
    let before = watcher.data_version().unwrap();
    scratch.queue.mark_offered(3).unwrap();
    assert_eq!(
        watcher.data_version().unwrap(),
        before,
        "nothing new, nothing written"
    );
    scratch.queue.mark_offered(4).unwrap();
    assert_ne!(watcher.data_version().unwrap(), before);
}

#[test]
fn unanswered_attempts_count_for_the_rows_they_carried_until_those_are_settled() {
    let mut scratch = Scratch::new();
    scratch.append(3);
    scratch.queue.record_attempt_failed(1..=2).unwrap();
    scratch.queue.record_attempt_failed(1..=2).unwrap();
    scratch.queue.record_attempt_failed(1..=3).unwrap();
    let attempts =
        |queue: &Queue| -> Vec<u64> { queue.list(10).unwrap().iter().map(|row| row.attempts).collect() };
    assert_eq!(attempts(&scratch.queue), [3, 3, 1]);
    let batch = scratch.offer();
    scratch
        .queue
        .settle(batch.instance, &[], &verdicts(&[(1, 2)], &[]))
        .unwrap();
    assert_eq!(attempts(&scratch.queue), [1]);
}

#[test]
fn the_records_of_attempts_are_bounded() {
    let mut scratch = Scratch::new();
    scratch.append(1);
    for last in 1..=100 {
        scratch.queue.record_attempt_failed(1..=last).unwrap();
    }
    let count = |sql| {
        scratch
            .sqlite()
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM failed_attempt"), 64);
}

#[test]
fn an_observation_made_now_has_this_machines_clock() {
    let mut free = *NOW;
    free.clock = Clock::Unsynced;
    let made = apollo_agent::queue::NewObservation::new("default/a".parse().unwrap(), &free);
    assert_eq!(
        (made.observed_at, made.clock, made.uptime_ms),
        (NOW.now, Clock::Unsynced, NOW.uptime_ms)
    );
}
