//! A driver over a database in which single values are damaged.

use std::{sync::Arc, time::Duration};

use apollo_agent::{
    clock,
    driver::{Driver, Supervision},
    queue::NewObservation,
    supervisor::{self, SupervisorHandle},
};
use apollo_wire::{DesiredProcess, DesiredState, binary};
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::{
    fake_gateway::{Script, Seen, agreeable},
    rig::Rig,
    wait,
};

fn damage(rig: &Rig, sql: &str) {
    let database = rusqlite::Connection::open(rig.data.path().join("agent.db")).unwrap();
    database.execute_batch(sql).unwrap();
}

/// A driver whose observations come from the test.
async fn observed(rig: &Rig) -> (Driver, tokio::sync::mpsc::Sender<NewObservation>) {
    let (sender, observations) = tokio::sync::mpsc::channel(1);
    let (unused, _) = tokio::sync::mpsc::channel(1);
    let setup = supervisor::Setup::new(rig.data.path().to_owned(), 1);
    let handle = SupervisorHandle::start(setup, Box::new(rig.queue()), unused).unwrap();
    let driver = rig.driver_with(Some(Supervision { handle, observations })).await;
    (driver, sender)
}

#[tokio::test]
async fn r01_an_observation_is_stored_once_although_the_depth_cannot_be_read_afterwards() {
    let rig = Rig::new(Arc::new(|_: &Seen| Script::Stall));
    let (driver, sender) = observed(&rig).await;
    damage(&rig, "UPDATE queue_head SET dropped = 'x'");
    let running = tokio::spawn(driver.run(std::future::pending()));
    let queue = rig.queue();
    for reason in ["first", "second"] {
        let mut observation = NewObservation::new("default/a".parse().unwrap(), &clock::read());
        observation.reason = reason.to_owned();
        sender.send(observation).await.unwrap();
        // The second is taken once the first is settled with, one way or another.
        wait::until(Duration::from_secs(60), reason, || {
            queue.list(9).unwrap().iter().any(|row| row.reason == reason)
        })
        .await;
    }
    let reasons: Vec<_> = queue.list(9).unwrap().into_iter().map(|row| row.reason).collect();
    assert_eq!(reasons, ["first", "second"]);
    running.abort();
}

#[tokio::test]
async fn a_stored_document_that_cannot_be_read_is_asked_for_again() {
    let spec = "{\"command\":[\"true\"],\"deviceRef\":{\"name\":\"buoy-1\"}}";
    let desired = DesiredState {
        device: "buoy-1".parse().unwrap(),
        processes: vec![DesiredProcess {
            namespace: "default".to_owned(),
            name: "a".to_owned(),
            generation: 1,
            spec_hash: apollo_wire::SpecHash([7; 8]),
            spec: RawValue::from_string(spec.to_owned()).unwrap(),
        }],
    };
    let body: Bytes = binary::encode_desired(&desired).into();
    let rig = Rig::new(Arc::new(move |seen: &Seen| match seen.path.as_str() {
        "/v1/report" => agreeable(seen),
        _ if seen.headers.contains_key("if-none-match") => Script::Reply(304, &[], Bytes::new()),
        _ => Script::Reply(200, &[("etag", "\"v1\"")], body.clone()),
    }));
    rig.sync().await;
    damage(&rig, "UPDATE desired_process SET spec_hash = 'x'");
    rig.sync().await;
    assert_eq!(rig.queue().desired().unwrap().unwrap().document, desired);
}
