//! The whole path: queue, engine, client, and back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use apollo_agent::{
    clock,
    queue::{Queue, QueueLimits},
    run_lock::RunLock,
};
use apollo_agent_core::engine::FailureKind;
use apollo_wire::{DesiredState, RejectReason, Rejection, binary};
use bytes::Bytes;

use crate::{
    fake_gateway::{Script, Seen, accept_all, agreeable},
    rig::Rig,
    wait,
};

#[tokio::test]
async fn one_sync_drains_many_batches_and_a_second_sends_nothing_again() {
    let rig = Rig::new(Arc::new(agreeable));
    rig.add(10);
    let summary = rig.sync().await;
    assert_eq!(
        (summary.acked, summary.pending, summary.exchanges),
        (10, 0, 3),
        "{summary:?}"
    );
    assert_eq!(
        rig.gateway.requests("/v1/desired").len(),
        1,
        "one poll for the whole drain"
    );
    assert!(summary.ip_bytes.sent > 0 && summary.ip_bytes.received > 0);
    let again = rig.sync().await;
    assert_eq!((again.acked, again.exchanges), (0, 1));
    let sent: Vec<_> = rig.gateway.requests("/v1/report");
    let rows: usize = sent
        .iter()
        .map(|seen| binary::decode_report(&seen.body).unwrap().observations.len())
        .sum();
    assert_eq!(rows, 10);
}

#[tokio::test]
async fn the_first_report_of_a_process_introduces_it_and_each_says_what_was_offered_before() {
    let rig = Rig::new(Arc::new(agreeable));
    rig.add(6);
    rig.sync().await;
    let reports: Vec<_> = rig
        .gateway
        .requests("/v1/report")
        .iter()
        .map(|seen| binary::decode_report(&seen.body).unwrap())
        .collect();
    assert!(reports[0].agent_version.is_some() && reports[1].agent_version.is_none());
    assert_eq!(
        (reports[0].offered_through, reports[1].offered_through),
        (Some(0), Some(4))
    );
    assert!(
        reports
            .iter()
            .all(|report| report.next_contact_seconds == Some(1))
    );
    assert_eq!(reports[0].queue.unwrap().pending, 6);
}

#[tokio::test]
async fn r10_a_report_sent_again_on_a_new_connection_counts_its_rows_as_offered() {
    // The connection breaks under the second report, after the gateway may have taken it.
    let reports = AtomicUsize::new(0);
    let rig = Rig::new(Arc::new(move |seen: &Seen| {
        let second = seen.path == "/v1/report" && reports.fetch_add(1, Ordering::SeqCst) == 1;
        if second { Script::Hang } else { agreeable(seen) }
    }));
    rig.add(6);
    let summary = rig.sync().await;
    assert_eq!((summary.acked, summary.pending), (6, 0), "{summary:?}");
    let offered: Vec<_> = rig
        .gateway
        .requests("/v1/report")
        .iter()
        .map(|seen| binary::decode_report(&seen.body).unwrap().offered_through)
        .collect();
    assert_eq!(offered, [Some(0), Some(4), Some(6)]);
}

#[tokio::test]
async fn the_queue_is_locked_while_a_report_is_under_way() {
    let data = tempfile::tempdir().unwrap();
    let lock = data.path().join("sync.lock");
    let taken = Arc::new(AtomicUsize::new(0));
    let (path, held) = (lock.clone(), Arc::clone(&taken));
    let rig = Rig::over(
        data,
        Arc::new(move |seen: &Seen| {
            // What another process would find.
            if seen.path == "/v1/report" && std::fs::File::create(&path).unwrap().try_lock().is_err() {
                held.fetch_add(1, Ordering::SeqCst);
            }
            agreeable(seen)
        }),
    );
    rig.add(6);
    assert_eq!(rig.sync().await.exchanges, 2);
    assert_eq!(taken.load(Ordering::SeqCst), 2, "both reports");
    // And a process that finds it taken sends nothing.
    let other = std::fs::File::create(&lock).unwrap();
    other.try_lock().unwrap();
    rig.add(1);
    let summary = rig.sync().await;
    assert_eq!((summary.failure, summary.pending), (Some(FailureKind::Busy), 1));
    assert_eq!(rig.gateway.requests("/v1/report").len(), 2);
}

#[tokio::test]
async fn rows_purged_while_they_are_on_their_way_do_not_make_a_good_reply_a_failure() {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().to_owned();
    let rig = Rig::over(
        data,
        Arc::new(move |seen: &Seen| {
            if seen.path == "/v1/report" {
                Queue::open(&dir, QueueLimits::default())
                    .unwrap()
                    .purge()
                    .unwrap();
            }
            agreeable(seen)
        }),
    );
    rig.add(3);
    let summary = rig.sync().await;
    assert_eq!(
        (summary.failure, summary.acked, summary.pending),
        (None, 0, 0),
        "{summary:?}"
    );
}

#[tokio::test]
async fn refused_rows_become_dead_letters_and_the_rest_leaves() {
    let rig = Rig::new(Arc::new(|seen: &Seen| match seen.path.as_str() {
        "/v1/report" => {
            let report = binary::decode_report(&seen.body).unwrap();
            let mut verdicts = accept_all(&report);
            verdicts.acked.retain_mut(|range| {
                range.first = range.first.max(2);
                range.first <= range.last
            });
            if report.observations.iter().any(|row| row.seq == 1) {
                let message = "bound to another device".to_owned();
                verdicts.rejected.push(Rejection {
                    seq: 1,
                    reason: RejectReason::NotBound,
                    message,
                });
            }
            Script::Reply(200, &[], binary::encode_verdicts(&verdicts).into())
        }
        _ => agreeable(seen),
    }));
    rig.add(3);
    let summary = rig.sync().await;
    assert_eq!((summary.acked, summary.dead, summary.pending), (2, 1, 0));
    assert_eq!(rig.queue().dead().unwrap()[0].seq, 1);
}

#[tokio::test]
async fn the_etag_survives_a_304_without_one_and_a_restart() {
    let desired = DesiredState {
        device: "buoy-1".parse().unwrap(),
        processes: vec![],
    };
    let body: Bytes = binary::encode_desired(&desired).into();
    let rig = Rig::new(Arc::new(move |seen: &Seen| match seen.path.as_str() {
        "/v1/report" => agreeable(seen),
        _ if seen.headers.contains_key("if-none-match") => Script::Reply(304, &[], Bytes::new()),
        _ => Script::Reply(200, &[("etag", "\"v1\"")], body.clone()),
    }));
    for _ in 0..3 {
        rig.sync().await;
    }
    let polls: Vec<_> = rig.gateway.requests("/v1/desired");
    let etags: Vec<_> = polls
        .iter()
        .map(|seen| seen.headers.get("if-none-match").is_some())
        .collect();
    assert_eq!(etags, [false, true, true]);
    assert_eq!(rig.queue().desired().unwrap().unwrap().etag, "\"v1\"");
}

#[tokio::test]
async fn a_document_for_another_device_is_neither_stored_nor_silent() {
    let desired = DesiredState {
        device: "buoy-2".parse().unwrap(),
        processes: vec![],
    };
    let body: Bytes = binary::encode_desired(&desired).into();
    let rig = Rig::new(Arc::new(move |seen: &Seen| match seen.path.as_str() {
        "/v1/report" => agreeable(seen),
        _ => Script::Reply(200, &[("etag", "\"v1\"")], body.clone()),
    }));
    let summary = rig.sync().await;
    assert!(summary.last_error.unwrap().contains("buoy-2"));
    assert_eq!(rig.queue().desired().unwrap(), None);
}

#[tokio::test]
async fn an_old_copy_of_a_queue_becomes_a_new_instance_and_still_delivers() {
    let rig = Rig::new(Arc::new(|seen: &Seen| match seen.path.as_str() {
        "/v1/report" => {
            let report = binary::decode_report(&seen.body).unwrap();
            let mut verdicts = accept_all(&report);
            // The gateway remembers 99 from an earlier life of the instance that begins at sequence 1.
            if report.observations.iter().any(|row| row.seq == 1) {
                (verdicts.highest_sequence, verdicts.acked) = (99, vec![]);
            }
            Script::Reply(200, &[], binary::encode_verdicts(&verdicts).into())
        }
        _ => agreeable(seen),
    }));
    rig.add(2);
    let before = rig.queue().instance();
    let summary = rig.sync().await;
    assert_eq!((summary.acked, summary.pending), (2, 0), "{summary:?}");
    assert_ne!(rig.queue().instance(), before);
    let status = rig.queue().sync_status(clock::now()).unwrap();
    assert!(status.renewed_why.unwrap().contains("99"));
}

#[tokio::test]
async fn a_report_too_large_is_sent_in_halves() {
    let rig = Rig::new(Arc::new(|seen: &Seen| match seen.path.as_str() {
        "/v1/report" if binary::decode_report(&seen.body).unwrap().observations.len() > 1 => {
            Script::Reply(413, &[], Bytes::new())
        }
        _ => agreeable(seen),
    }));
    rig.add(4);
    let summary = rig.sync().await;
    assert_eq!((summary.acked, summary.pending), (4, 0), "{summary:?}");
}

#[tokio::test]
async fn a_failure_is_written_down_with_its_attempts() {
    let rig = Rig::new(Arc::new(|_: &Seen| {
        Script::Reply(503, &[("retry-after", "600")], Bytes::new())
    }));
    rig.add(2);
    let summary = rig.sync().await;
    assert_eq!(
        (summary.failure, summary.pending),
        (Some(FailureKind::Status(503)), 2)
    );
    let status = rig.queue().sync_status(clock::now()).unwrap();
    assert!(status.last_error.unwrap().contains("503"));
    assert!(rig.queue().list(1).unwrap()[0].attempts >= 1);
}

#[tokio::test]
async fn a_single_sync_plans_nothing_and_leaves_the_plan_of_a_running_agent_alone() {
    for handler in [agreeable, |_: &Seen| {
        Script::Reply(503, &[("retry-after", "600")], Bytes::new())
    }] {
        let rig = Rig::new(Arc::new(handler));
        let planned = Some(clock::now().plus(600_000));
        let plan = || rig.queue().sync_status(clock::now()).unwrap().next_attempt;
        rig.queue().set_next_attempt(planned).unwrap();
        let running = RunLock::take(rig.data.path()).await.unwrap();
        rig.sync().await;
        assert_eq!(plan(), planned);
        drop(running);
        rig.sync().await;
        assert_eq!(plan(), None);
    }
}

#[tokio::test]
async fn a_running_driver_notices_rows_of_other_processes_retries_and_ends_when_asked() {
    let failures = Arc::new(AtomicUsize::new(2));
    let left = Arc::clone(&failures);
    let rig = Rig::new(Arc::new(move |seen: &Seen| {
        let fails = left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        if fails {
            Script::Reply(503, &[], Bytes::new())
        } else {
            agreeable(seen)
        }
    }));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let driver = rig.driver().await;
    let running = tokio::spawn(driver.run(async {
        let _ = stopped.await;
    }));
    rig.add(3);
    let queue = rig.queue();
    wait::until(Duration::from_secs(20), "the rows are delivered", || {
        queue.stats().unwrap().rows == 0
    })
    .await;
    stop.send(()).unwrap();
    let summary = running.await.unwrap().unwrap();
    assert_eq!(
        (summary.acked, summary.pending, summary.failure),
        (3, 0, None),
        "{summary:?}"
    );
}
