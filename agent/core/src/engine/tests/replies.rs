//! What replies and failures lead to.

use apollo_wire::RejectReason;

use super::*;

#[test]
fn r02_verdicts_are_settled_and_nothing_else_is() {
    let (mut rig, first) = Rig::new(2);
    rig.answer(first, batch(2), acked(2));
    assert_eq!(
        rig.effects(),
        [Effect::Settle {
            id: first.id,
            verdicts: acked(2)
        }]
    );
}

#[test]
fn r02_results_of_another_exchange_are_dropped() {
    let (mut rig, first) = Rig::new(2);
    let stale = StartExchange {
        id: ExchangeId(first.id.0 + 7),
        ..first
    };
    rig.answer(stale, batch(2), acked(2));
    rig.fail(stale, FailureKind::Interrupted, None);
    assert_eq!(
        (rig.effects(), rig.engine.state()),
        (vec![], State::Exchanging { id: first.id })
    );
    rig.answer(first, batch(2), acked(2));
    rig.effects();
    rig.answer(first, batch(2), acked(2));
    rig.tell(Event::Settled {
        id: stale.id,
        settled: 2,
        pending: 0,
    });
    assert_eq!(
        (rig.effects(), rig.engine.state()),
        (vec![], State::Settling { id: first.id })
    );
}

#[test]
fn r08_rejected_rows_settle_with_the_rest() {
    let (mut rig, first) = Rig::new(2);
    let rejection = Rejection {
        seq: 2,
        reason: RejectReason::NotBound,
        message: String::new(),
    };
    let verdicts = Verdicts {
        rejected: vec![rejection],
        ..acked(1)
    };
    rig.answer(first, batch(2), verdicts.clone());
    assert_eq!(
        rig.effects(),
        [Effect::Settle {
            id: first.id,
            verdicts
        }]
    );
    rig.tell(Event::Settled {
        id: first.id,
        settled: 2,
        pending: 0,
    });
    assert!(rig.status().failure.is_none());
}

#[test]
fn r10_an_old_copy_settles_nothing_renews_and_reports_at_once() {
    let (mut rig, first) = Rig::new(2);
    let known = Verdicts {
        highest_sequence: 9,
        ..acked(2)
    };
    rig.answer(first, batch(2), known);
    assert!(matches!(&rig.effects()[..], [Effect::RenewInstance { id, .. }] if *id == first.id));
    rig.tell(Event::Renewed {
        id: first.id,
        pending: 2,
    });
    assert!(rig.started().id > first.id);
}

#[test]
fn r10_a_gateway_that_always_claims_to_know_more_does_not_make_instances_without_end() {
    let (mut rig, first) = Rig::new(2);
    let claim = || Verdicts {
        highest_sequence: 99,
        ..acked(0)
    };
    rig.answer(first, batch(2), claim());
    rig.tell(Event::Renewed {
        id: first.id,
        pending: 2,
    });
    rig.effects();
    let State::Exchanging { id } = rig.engine.state() else {
        panic!()
    };
    rig.answer(StartExchange { id, ..first }, batch(2), claim());
    assert!(matches!(
        rig.engine.state(),
        State::Waiting {
            wait: Wait::Retry,
            ..
        }
    ));
    assert!(rig.status().failure.is_some());
}

#[test]
fn storage_that_fails_is_tried_again_later() {
    let (mut rig, first) = Rig::new(2);
    rig.answer(first, batch(2), acked(2));
    rig.tell(Event::SettleFailed {
        id: first.id,
        message: "disk full".to_owned(),
    });
    assert_eq!(rig.status().last_error(), Some("disk full"));
    assert!(rig.wait() <= LIMITS.backoff_initial);
    assert_eq!(rig.engine.pending(), 2);
}

/// Found by the simulator, seed 4246: a queue was copied again before its new instance had been answered. It took every
/// reply for nonsense from then on, and nothing left it any more.
#[test]
fn r10_a_reply_that_names_none_of_the_rows_renews_once_for_each_delay() {
    let (mut rig, mut exchange) = Rig::new(2);
    for _ in 0..3 {
        rig.answer(exchange, batch(2), acked(0));
        assert!(matches!(&rig.effects()[..], [Effect::RenewInstance { id, .. }] if *id == exchange.id));
        rig.tell(Event::Renewed {
            id: exchange.id,
            pending: 2,
        });
        exchange = rig.started();
        rig.answer(exchange, batch(2), acked(0));
        assert!(rig.status().failure.is_some());
        assert!(rig.wait() >= LIMITS.backoff_initial / 2);
        exchange = rig.fire();
    }
}

#[test]
fn a_reply_that_settles_nothing_of_the_batch_is_a_failure() {
    let (mut rig, first) = Rig::new(2);
    let elsewhere = Verdicts {
        acked: vec![SequenceRange { first: 1, last: 1 }],
        ..acked(1)
    };
    let batch = Batch {
        next_sequence: 9,
        offered_through: 8,
        ..batch(2)
    };
    rig.answer(first, batch, elsewhere);
    rig.tell(Event::Settled {
        id: first.id,
        settled: 0,
        pending: 2,
    });
    assert!(rig.status().failure.is_some());
    assert!(matches!(
        rig.engine.state(),
        State::Waiting {
            wait: Wait::Retry,
            ..
        }
    ));
}

#[test]
fn a_new_document_is_stored_once_and_an_unchanged_one_never() {
    let (mut rig, first) = Rig::new(0);
    let exchanged = |id, desired| {
        Event::Exchanged(Exchanged {
            id,
            batch: Some(batch(0)),
            report: Ok(acked(0)),
            desired,
        })
    };
    rig.tell(exchanged(first.id, DesiredOutcome::Changed(document("buoy-1"))));
    rig.tell(Event::Settled {
        id: first.id,
        settled: 0,
        pending: 0,
    });
    assert!(rig.effects().contains(&Effect::StoreDesired(document("buoy-1"))));
    let second = rig.fire();
    rig.tell(exchanged(second.id, DesiredOutcome::NotModified));
    rig.tell(Event::Settled {
        id: second.id,
        settled: 0,
        pending: 0,
    });
    assert!(
        !rig.effects()
            .iter()
            .any(|effect| matches!(effect, Effect::StoreDesired(_)))
    );
}

#[test]
fn a_document_for_another_device_is_refused_and_said_so() {
    let (mut rig, first) = Rig::new(0);
    let desired = DesiredOutcome::Changed(document("buoy-2"));
    rig.tell(Event::Exchanged(Exchanged {
        id: first.id,
        batch: Some(batch(0)),
        report: Ok(acked(0)),
        desired,
    }));
    rig.tell(Event::Settled {
        id: first.id,
        settled: 0,
        pending: 0,
    });
    let effects = rig.effects();
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::StoreDesired(_)))
    );
    let Some(Effect::RecordStatus(Status {
        failure: None,
        warning: Some(error),
        ..
    })) = effects.last()
    else {
        panic!()
    };
    assert!(error.contains("buoy-2") && error.contains("buoy-1"), "{error}");
}

#[test]
fn a_document_is_stored_even_if_the_report_failed() {
    let (mut rig, first) = Rig::new(1);
    let failure = Failure {
        kind: FailureKind::Status(503),
        retry_after: None,
        message: "busy".to_owned(),
    };
    let desired = DesiredOutcome::Changed(document("buoy-1"));
    rig.tell(Event::Exchanged(Exchanged {
        id: first.id,
        batch: Some(batch(1)),
        report: Err(failure),
        desired,
    }));
    assert!(rig.effects().contains(&Effect::StoreDesired(document("buoy-1"))));
}

#[test]
fn a_refusal_that_waiting_does_not_cure_is_asked_about_rarely() {
    for status in [400, 401, 403, 404, 405, 406, 415] {
        let (mut rig, first) = Rig::new(1);
        rig.fail(first, FailureKind::Status(status), None);
        assert!(rig.wait() >= LIMITS.refused_delay, "{status}");
    }
    for status in [425, 429, 500, 502, 503] {
        let (mut rig, first) = Rig::new(1);
        rig.fail(first, FailureKind::Status(status), None);
        assert!(rig.wait() <= LIMITS.backoff_initial, "{status}");
    }
}
