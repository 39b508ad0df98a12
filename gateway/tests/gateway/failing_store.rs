//! A store that fails, and one that has not been read yet: 503 with a time to come back, not ready, and nothing settled.

use apollo_wire::binary;
use rusqlite::Connection;

use crate::{
    client::Client,
    fixture::{Fixture, report_of, until},
};

#[tokio::test]
async fn a_store_that_fails_is_503_settles_nothing_and_is_not_ready_until_it_works() {
    let fixture = Fixture::start().await;
    fixture.apply("collector", "buoy-17", "/bin/true").await;
    let database = Connection::open(fixture.store.path()).unwrap();
    let stored = || -> i64 {
        database
            .query_row("SELECT count(*) FROM observations", [], |row| row.get(0))
            .unwrap()
    };
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let frame = binary::encode_report(&report_of("default/collector", 1));
    database
        .execute_batch(
            "CREATE TRIGGER refused BEFORE INSERT ON history BEGIN SELECT RAISE(FAIL, 'no space'); END",
        )
        .unwrap();
    let answer = device.post(&[], frame.clone()).await;
    assert_eq!(answer.status, 503);
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(seconds > 0);
    assert_eq!(stored(), 0);
    let (status, reason) = fixture.admin_get("/readyz").await;
    assert_eq!(
        (status, reason.as_str()),
        (503, "not ready: the store does not work\n")
    );
    assert_eq!(
        fixture.admin_get("/healthz").await.0,
        200,
        "the process itself is well"
    );
    assert_eq!(
        device.get("/v1/desired", &[]).await.status,
        200,
        "polls need no disk"
    );

    database.execute_batch("DROP TRIGGER refused").unwrap();
    let answer = device.post(&[], frame).await;
    assert_eq!(
        binary::decode_verdicts(&answer.body).unwrap().accepted,
        1,
        "not a duplicate"
    );
    assert_eq!(stored(), 1);
    until(async || fixture.admin_get("/readyz").await.0 == 200).await;
}

#[tokio::test]
async fn until_all_objects_are_read_polls_get_503_and_nothing_is_announced() {
    // Without this table the watch cannot tell anything; it tries again and again.
    let hide = |path: &std::path::Path| {
        let database = Connection::open(path).unwrap();
        database
            .execute_batch("ALTER TABLE revision RENAME TO hidden")
            .unwrap();
    };
    let (fixture, mut serving) = Fixture::begin(|_| {}, hide).await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    for path in ["/v1/desired", "/v1/desired?wait=30"] {
        let answer = device.get(path, &[]).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["retry-after"]),
            (503, &"5".parse().unwrap())
        );
    }
    let (status, reason) = fixture.admin_get("/readyz").await;
    assert_eq!((status, reason.contains("not complete")), (503, true), "{reason}");
    assert!(serving.try_recv().is_err(), "announced before it could serve");

    let database = Connection::open(fixture.store.path()).unwrap();
    database
        .execute_batch("ALTER TABLE hidden RENAME TO revision")
        .unwrap();
    until(async || device.get("/v1/desired", &[]).await.status == 200).await;
    until(async || serving.try_recv().is_ok()).await;
    assert_eq!(fixture.admin_get("/readyz").await.0, 200);
}
