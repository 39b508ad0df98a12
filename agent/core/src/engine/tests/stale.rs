//! results of another operation than the one under way change nothing.

use super::*;

/// An engine that settles, or renews, and the exchange whose reply asked for it.
fn in_work(verdicts: Verdicts) -> (Rig, StartExchange) {
    let (mut rig, first) = Rig::new(2);
    rig.answer(first, batch(2), verdicts);
    rig.effects();
    (rig, first)
}

#[test]
fn r02_failures_of_another_exchange_are_dropped() {
    let another = ExchangeId(0);
    let message = || "disk full".to_owned();
    let (mut rig, first) = in_work(acked(2));
    rig.tell(Event::SettleFailed {
        id: another,
        message: message(),
    });
    let settling = State::Settling { id: first.id };
    assert_eq!((rig.effects(), rig.engine.state()), (vec![], settling));

    let (mut rig, first) = in_work(acked(0));
    rig.tell(Event::RenewFailed {
        id: another,
        message: message(),
    });
    let renewing = State::Renewing { id: first.id };
    assert_eq!((rig.effects(), rig.engine.state()), (vec![], renewing));
}

#[test]
fn r10_a_renewal_another_exchange_asked_for_is_dropped() {
    let (mut rig, first) = in_work(acked(0));
    rig.tell(Event::Renewed {
        id: ExchangeId(0),
        pending: 2,
    });
    let renewing = State::Renewing { id: first.id };
    assert_eq!((rig.effects(), rig.engine.state()), (vec![], renewing));
}
