//! Device clocks are wrong; times are corrected by what is known and refused only when impossible.

use anyhow::{Context, Result};
use apollo_tests::harness::{World, now, observation, report};
use apollo_wire::UnixMillis;
use serde_json::{Value, json};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// What a report takes from the test to the gateway on a loaded machine, at most.
const TRAVEL_MS: i64 = 20_000;

fn millis(value: &Value) -> Result<i64> {
    Ok(value.as_str().context("not a time")?.parse::<UnixMillis>()?.get())
}

fn world() -> Result<World> {
    let world = World::new(&["--max-age", "400d", "--max-future-skew", "5m"])?;
    world.bind("collector", "buoy-17")?;
    Ok(world)
}

#[test]
fn finding_12_a_slow_clock_is_measured_and_corrected() -> Result<()> {
    let world = world()?;
    // The device believes it is a day earlier than it is.
    let mut late = report(&[observation(1, "collector", DAY_MS + 10 * MINUTE_MS)]);
    late["sentAt"] = json!(now(-DAY_MS));
    let reply = world.device("buoy-17")?.report(&late)?;
    assert_eq!(reply.status, 200);
    let skew = reply.json()?["clockSkewMs"].as_i64().context("no clockSkewMs")?;
    assert!(
        (-DAY_MS - TRAVEL_MS..=-DAY_MS + TRAVEL_MS).contains(&skew),
        "{skew}"
    );

    let stored = &world.gateway.observations("buoy-17")?[0];
    assert_eq!(stored["observedAt"], late["observations"][0]["observedAt"]);
    // Ten minutes before it was sent, by the gateway's clock.
    let age = millis(&stored["receivedAt"])? - millis(&stored["correctedAt"])?;
    assert!(
        (10 * MINUTE_MS - TRAVEL_MS..=10 * MINUTE_MS + TRAVEL_MS).contains(&age),
        "{age}"
    );
    Ok(())
}

#[test]
fn finding_12_a_clock_at_1970_is_corrected_too() -> Result<()> {
    let world = world()?;
    let mut report = report(&[observation(1, "collector", 0)]);
    report["sentAt"] = json!("1970-01-01T00:02:00.000Z");
    report["observations"][0]["observedAt"] = json!("1970-01-01T00:01:00.000Z");
    report["observations"][0]["clock"] = json!("unsynced");
    let reply = world.device("buoy-17")?.report(&report)?;
    assert_eq!(reply.status, 200, "{:?}", reply.json());
    let stored = &world.gateway.observations("buoy-17")?[0];
    let age = millis(&stored["receivedAt"])? - millis(&stored["correctedAt"])?;
    assert!(
        (MINUTE_MS - TRAVEL_MS..=MINUTE_MS + TRAVEL_MS).contains(&age),
        "{age}"
    );
    Ok(())
}

#[test]
fn finding_12_only_what_is_impossible_is_refused_and_each_limit_holds_on_both_sides() -> Result<()> {
    let world = world()?;
    let sent = jiff::Timestamp::now().as_millisecond();
    let at = |seq: u64, before_sent_ms: i64| {
        let mut observation = observation(seq, "collector", 0);
        observation["observedAt"] = json!(UnixMillis::saturating(sent - before_sent_ms).to_string());
        observation
    };
    let mut report = report(&[
        at(1, -5 * MINUTE_MS),
        at(2, -5 * MINUTE_MS - 1_000),
        // Ages are measured at the gateway, so the last moment that is still young enough is a little before it.
        at(3, 400 * DAY_MS - TRAVEL_MS),
        at(4, 400 * DAY_MS + 1_000),
        at(5, 0),
    ]);
    report["sentAt"] = json!(UnixMillis::saturating(sent).to_string());
    let verdicts = world.device("buoy-17")?.report(&report)?.json()?;
    assert_eq!(verdicts["acked"], json!([[1, 1], [3, 3], [5, 5]]), "{verdicts}");
    let refused: Vec<_> = verdicts["rejected"]
        .as_array()
        .context("no rejected")?
        .iter()
        .collect();
    let refused: Vec<_> = refused
        .iter()
        .map(|r| (r["seq"].clone(), r["reason"].clone()))
        .collect();
    assert_eq!(
        refused,
        [
            (json!(2), json!("TimestampInFuture")),
            (json!(4), json!("TimestampTooOld"))
        ]
    );
    Ok(())
}

#[test]
fn finding_12_a_time_that_cannot_be_read_refuses_that_observation_and_no_other() -> Result<()> {
    let world = world()?;
    let mut bad = observation(2, "collector", 0);
    bad["observedAt"] = json!("yesterday");
    let report = report(&[
        observation(1, "collector", 0),
        bad,
        observation(3, "collector", 0),
    ]);
    let reply = world.device("buoy-17")?.report(&report)?;
    assert_eq!(reply.status, 200);
    let verdicts = reply.json()?;
    assert_eq!(verdicts["acked"], json!([[1, 1], [3, 3]]));
    assert_eq!(
        (
            &verdicts["rejected"][0]["seq"],
            &verdicts["rejected"][0]["reason"]
        ),
        (&json!(2), &json!("Malformed"))
    );
    let message = verdicts["rejected"][0]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("observedAt"),
        "the message names the field: {message:?}"
    );
    Ok(())
}

#[test]
fn an_observation_of_an_earlier_boot_is_accepted_with_unknown_time() -> Result<()> {
    let world = world()?;
    let mut report = report(&[observation(1, "collector", 0)]);
    report["observations"][0]["observedAt"] = json!("1970-01-01T00:00:09.000Z");
    report["observations"][0]["clock"] = json!("unknown");
    let reply = world.device("buoy-17")?.report(&report)?;
    assert_eq!(reply.status, 200, "{:?}", reply.json());
    let stored = &world.gateway.observations("buoy-17")?[0];
    assert_eq!(stored["clock"], "unknown");
    assert!(
        stored["correctedAt"].is_null() || millis(&stored["correctedAt"])? <= millis(&stored["receivedAt"])?
    );
    Ok(())
}
