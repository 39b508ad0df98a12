//! An API server that takes two writes at a time and answers the others 429.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, ensure};
use apollo_tests::harness::{fleet::Fleet, observation};
use serde_json::Value;

use super::world;

const DEVICES: usize = 60;
const PROCESSES: usize = 3;
/// Tries of one report; each 503 says when to come again, a second later.
const TRIES: u32 = 60;

#[test]
fn a_429_is_honoured_and_everything_arrives_in_the_end() -> Result<()> {
    let Some(world) = world("kube_replicas: 429", &["--max-mutating-requests-inflight=2"])? else {
        return Ok(());
    };
    let fleet = Fleet::new(&world.pki, "buoy", DEVICES)?;
    for device in fleet.devices() {
        for number in 0..PROCESSES {
            world.bind(&format!("{}-{number}", device.name()), device.name())?;
        }
    }
    let gateway = world.gateway("one", &[])?;
    let address = gateway.udp();
    let refused = Arc::new(AtomicU32::new(0));
    fleet.each(DEVICES, |device| {
        let refused = refused.clone();
        async move {
            let seen: Vec<Value> = (0..PROCESSES)
                .map(|number| observation(number as u64 + 1, &format!("{}-{number}", device.name()), 0))
                .collect();
            let report = device.report_of(&seen);
            for _ in 0..TRIES {
                let reply = device.report(address, &report).await?;
                if reply.status == 200 {
                    return Ok(());
                }
                ensure!(reply.status == 503, "status {}", reply.status);
                let after: u64 = reply.header("retry-after").unwrap_or("").parse()?;
                ensure!((1..=30).contains(&after), "Retry-After: {after}");
                refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(std::time::Duration::from_secs(after)).await;
            }
            anyhow::bail!("{} never got through", device.name())
        }
    })?;
    let asked = |code: &str| gateway.metric("apollo_gateway_kube_requests_total", code);
    let (too_many, written) = (asked("code=\"429\"")?, asked("code=\"200\"")?);
    eprintln!(
        "429s: {too_many}; 503s told to devices: {}; answered 200: {written}",
        refused.load(Ordering::Relaxed)
    );
    ensure!(
        too_many > 0.0,
        "the API server was never too busy: the story shows nothing"
    );
    for device in fleet.devices() {
        for number in 0..PROCESSES {
            let status = world.status(&format!("{}-{number}", device.name()))?;
            ensure!(status["sync"]["sequence"] == number as u64 + 1, "{status}");
        }
    }
    Ok(())
}
