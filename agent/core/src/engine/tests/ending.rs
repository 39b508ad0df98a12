//! How the engine ends: one last exchange, never two, and none where nothing is left to send.

use super::*;

fn starts(effects: &[Effect]) -> usize {
    let starts = |effect: &&Effect| matches!(effect, Effect::StartExchange(_));
    effects.iter().filter(starts).count()
}

#[test]
fn an_end_asked_for_during_an_exchange_that_empties_the_queue_makes_no_other() {
    let (mut rig, first) = Rig::new(1);
    rig.tell(Event::Shutdown);
    rig.succeed(first, 1, 0);
    let effects = rig.effects();
    assert_eq!(starts(&effects), 0, "{effects:?}");
    assert_eq!(effects.last(), Some(&Effect::Stop));
    assert_eq!(rig.engine.state(), State::Stopped);
}

#[test]
fn an_end_asked_for_again_during_the_last_exchange_does_not_make_it_the_last_but_one() {
    let (mut rig, first) = Rig::new(0);
    rig.succeed(first, 0, 0);
    rig.effects();
    rig.tell(Event::Shutdown);
    let last = rig.started();
    rig.tell(Event::Shutdown);
    rig.succeed(last, 1, 2);
    let effects = rig.effects();
    assert_eq!(starts(&effects), 0, "{effects:?}");
    assert_eq!(rig.engine.state(), State::Stopped);
}

#[test]
fn an_engine_that_has_ended_stays_so_whatever_comes() {
    let (mut rig, first) = Rig::new(0);
    rig.tell(Event::Shutdown);
    rig.succeed(first, 0, 0);
    rig.effects();
    rig.tell(Event::Shutdown);
    rig.tell(Event::Queued { pending: 3 });
    rig.tell(Event::TimerFired);
    rig.fail(first, FailureKind::Interrupted, None);
    assert_eq!((rig.effects(), rig.engine.state()), (vec![], State::Stopped));
    assert_eq!(rig.engine.poll_timeout(), None);
}
