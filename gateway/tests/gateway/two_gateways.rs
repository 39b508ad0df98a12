//! Two gateways on one file: whichever a report reaches, nothing is lost and no status goes back.

use apollo_gateway::config::StoreChoice;
use apollo_wire::binary;

use crate::{
    client::Client,
    fixture::{Fixture, report_of},
};

const REPORTS: u64 = 20;

/// Sends the reports with these sequences, again for as long as the gateway says that it is busy; how many were new.
async fn send(device: &mut Client, sequences: impl Iterator<Item = u64>) -> u32 {
    let mut accepted = 0;
    for sequence in sequences {
        let frame = binary::encode_report(&report_of("default/collector", sequence));
        let answer = loop {
            let answer = device.post(&[], frame.clone()).await;
            if answer.status != 503 {
                break answer;
            }
        };
        assert_eq!(answer.status, 200);
        accepted += binary::decode_verdicts(&answer.body).unwrap().accepted;
    }
    accepted
}

#[tokio::test]
async fn reports_of_one_process_through_two_gateways_at_once_all_count() {
    let one = Fixture::start().await;
    let file = StoreChoice::Embedded(one.store.path().to_owned());
    let two = Fixture::start_with(|config| config.store = file).await;
    one.apply("collector", "buoy-17", "/bin/true").await;
    let (mut at_one, mut at_two) = (
        Client::connect(&one, "buoy-17").await,
        Client::connect(&two, "buoy-17").await,
    );
    let odd = (1..=REPORTS).map(|number| 2 * number - 1);
    // The second one also repeats a sequence of the first: it may count at one of them only.
    let even_and_one = (1..=REPORTS).map(|number| 2 * number).chain([1]);
    let (first, second) = tokio::join!(send(&mut at_one, odd), send(&mut at_two, even_and_one));
    assert_eq!(u64::from(first + second), 2 * REPORTS);
    let (_, body) = two.admin_get("/api/v1/deviceprocesses").await;
    let objects: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(objects["items"][0]["status"]["sync"]["sequence"], 2 * REPORTS);
    let (_, body) = one.admin_get("/api/v1/observations?device=buoy-17").await;
    let history: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(history.as_array().unwrap().len() as u64, 2 * REPORTS);
}
