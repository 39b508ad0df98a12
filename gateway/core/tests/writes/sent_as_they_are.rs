//! Writes of Devices, which are never computed again, and objects that are gone.

use apollo_gateway_core::{
    store::WriteOutcome::{Conflict, Gone, Written},
    writes::{Next, SendResult},
};

use crate::api_server::{ApiServer, by_report, device_key, wide};

fn server() -> ApiServer {
    ApiServer::with(wide(), &[("own", "buoy")])
}

#[test]
fn r05_a_device_write_is_sent_at_its_version_or_not_at_all() {
    let mut server = server();
    let key = device_key("buoy");
    let read = server.version(&key);
    for (ticket, agent) in [(1, "one"), (2, "two")] {
        server.push_device("buoy", agent, read.clone(), ticket).unwrap();
    }
    let request = server.send();
    assert_eq!((request.writes, request.carried_over), (1, 0));
    assert_eq!(
        server.next(),
        Next::Wait(None),
        "the second waits for what becomes of the first"
    );
    let told = server.carry_out(&request);
    assert_eq!(told, [(1, Written(server.version(&key)))]);
    assert_eq!(server.answers(), [(2, Conflict)], "known without a request");
}

#[test]
fn a_device_write_behind_one_that_failed_is_sent() {
    let mut server = server();
    let read = server.version(&device_key("buoy"));
    for (ticket, agent) in [(1, "one"), (2, "two")] {
        server.push_device("buoy", agent, read.clone(), ticket).unwrap();
    }
    let request = server.send();
    let failed = SendResult::Unavailable {
        retry_after_ms: Some(700),
    };
    let told = server.done(&request.key, failed);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].outcome.as_ref().unwrap_err().retry_after_ms, Some(700));
    let request = server.send();
    assert_eq!(server.carry_out(&request).len(), 1);
}

#[test]
fn an_object_that_is_gone_is_gone_for_all_its_writes() {
    let mut server = server();
    let read = server.version(&device_key("buoy"));
    server.push("own", by_report(None), 1).unwrap();
    server.push_device("buoy", "2", read, 2).unwrap();
    server.objects.clear();
    assert_eq!(server.answers(), [(1, Gone)]);
    assert_eq!(server.answers(), [(2, Gone)]);
    assert_eq!(server.next(), Next::Wait(None));
}
