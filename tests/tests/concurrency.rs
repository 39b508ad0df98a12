//! Several gateways on one store: R-05, nobody's update is lost.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{Device, Gateway, GatewayOptions, World, observation, report};
use serde_json::Value;

/// Reports each of two connections sends, one observation each.
const REPORTS: u64 = 100;

/// Two gateways on one store, and a device connected to both.
struct TwoGateways {
    here: Device,
    there: Device,
    /// Ends when dropped.
    _second: Gateway,
    world: World,
}

impl TwoGateways {
    fn start() -> Result<Self> {
        let world = World::new(&[])?;
        world.bind("collector", "buoy-17")?;
        let options = GatewayOptions {
            name: "second".to_owned(),
            ..GatewayOptions::default()
        };
        let second = Gateway::spawn(&world.sandbox, &world.pki, &options)?;
        let identity = world.pki.device("buoy-17")?;
        Ok(Self {
            here: world.connect(&identity)?,
            there: Device::connect(second.udp(), &world.pki, Some(&identity))?,
            _second: second,
            world,
        })
    }
}

#[test]
fn finding_09_two_gateways_writing_the_same_status_at_once_lose_no_update() -> Result<()> {
    let TwoGateways {
        world, here, there, ..
    } = &TwoGateways::start()?;

    // The same process through both: odd sequences here, even ones there, newest first on one side.
    let (odd, even) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| send(here, (0..REPORTS).map(|n| 2 * n + 1)));
        let even = scope.spawn(|| send(there, (1..=REPORTS).rev().map(|n| 2 * n)));
        (odd.join(), even.join())
    });
    for sent in [odd, even] {
        sent.map_err(|_| anyhow::anyhow!("a sender panicked"))??;
    }

    let stored = world.gateway.observations("buoy-17")?;
    let sequences: BTreeSet<u64> = stored.iter().filter_map(|o| o["seq"].as_u64()).collect();
    assert_eq!(stored.len() as u64, 2 * REPORTS, "nothing twice");
    assert_eq!(sequences, (1..=2 * REPORTS).collect(), "nothing lost");
    // The maximum won, whichever gateway wrote last.
    let status = world.status("collector")?;
    assert_eq!(
        (&status["sync"]["epoch"], &status["sync"]["sequence"]),
        (&1.into(), &(2 * REPORTS).into())
    );
    assert_eq!(status["message"], format!("sample {}", 2 * REPORTS));
    Ok(())
}

/// Sends one observation per report and insists until it is settled: 503 says "again".
fn send(device: &Device, sequences: impl Iterator<Item = u64>) -> Result<()> {
    /// A gateway that cannot settle one observation in this many attempts is livelocked.
    const ATTEMPTS: u32 = 50;
    'next: for seq in sequences {
        for _ in 0..ATTEMPTS {
            let reply = device.report(&report(&[observation(seq, "collector", 0)]))?;
            if reply.status == 200 {
                let acked: Value = reply.json()?["acked"].clone();
                ensure!(acked == serde_json::json!([[seq, seq]]), "{acked}");
                continue 'next;
            }
            ensure!(reply.status == 503, "{reply:?}");
            reply.header("retry-after").context("503 without Retry-After")?;
        }
        anyhow::bail!("sequence {seq} was not settled in {ATTEMPTS} attempts");
    }
    Ok(())
}

#[test]
fn a_device_gets_one_epoch_per_instance_whichever_gateway_it_meets_first() -> Result<()> {
    let TwoGateways { here, there, .. } = &TwoGateways::start()?;
    for (number, device) in [here, there, here, there].into_iter().enumerate() {
        let mut report = report(&[observation(1, "collector", 0)]);
        // Instances a, a, b, b: the second life begins through the other gateway's eyes as well.
        report["instance"] = format!("0192f7c4-0000-7000-8000-{:012}", number / 2).into();
        assert_eq!(device.report(&report)?.json()?["epoch"], number / 2 + 1);
    }
    Ok(())
}
