//! What devices send: frames of observations, from two lives of each device, and the sends that repeat and mix them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{Reply, fleet::FleetDevice, now};
use futures_util::{StreamExt, TryStreamExt, stream};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};

/// Queue databases that each device has had: their epochs are given by whichever frame comes first.
const LIVES: usize = 2;
/// Frames of one life.
const FRAMES: usize = 4;
/// Observations in a frame.
const OBSERVATIONS: std::ops::RangeInclusive<usize> = 1..=5;
/// How often each frame is sent.
const COPIES: std::ops::RangeInclusive<usize> = 2..=3;
/// Requests of one device under way at once.
const AT_ONCE: usize = 3;
/// The longest that a device heeds a `Retry-After`: a story should end.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A frame is sent again until it is acknowledged, or this has passed.
const SETTLED_WITHIN: Duration = Duration::from_secs(150);

/// One frame, which is sent as it is each time but for the time of sending.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// The queue database it is from.
    pub instance: String,
    /// What was seen.
    pub observations: Vec<Value>,
}

/// The name of a device's process.
pub(crate) fn process(device: &str, number: usize) -> String {
    format!("{device}-p{number}")
}

/// All frames of the device `number`, which has `processes` processes.
pub(crate) fn of_device(name: &str, number: usize, processes: usize, rng: &mut StdRng) -> Vec<Frame> {
    let mut frames = Vec::new();
    for life in 1..=LIVES {
        let instance = format!("0192f7c4-0000-7000-{:04x}-{number:012x}", 0x8000 + life);
        let mut seq = 0;
        for _ in 0..FRAMES {
            let count = rng.random_range(OBSERVATIONS);
            let observations = (0..count).map(|_| {
                seq += 1;
                let process = process(name, rng.random_range(0..processes));
                observation(&process, life, seq, rng)
            });
            frames.push(Frame {
                instance: instance.clone(),
                observations: observations.collect(),
            });
        }
    }
    frames
}

fn observation(process: &str, life: usize, seq: u64, rng: &mut StdRng) -> Value {
    let mut observation = json!({
        "seq": seq, "process": format!("default/{process}"), "observedAt": now(-60_000),
        "reason": "Sample", "message": format!("life {life} sample {seq}"), "restarts": rng.random_range(0..9),
    });
    match rng.random_range(0..4) {
        0 => {
            observation["state"] = json!("Failed");
            observation["exitCode"] = json!(rng.random_range(1..128));
        }
        // History only.
        1 => {}
        _ => {
            observation["state"] = json!("Running");
            observation["pid"] = json!(rng.random_range(2..32_768));
        }
    }
    observation
}

/// What a device met.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Met {
    /// Sums of the verdicts.
    pub accepted: u64,
    /// As the gateway called it.
    pub duplicates: u64,
    /// Answers with 503 or 429.
    pub busy: u64,
    /// Requests without an answer.
    pub unanswered: u64,
}

impl Met {
    /// What several have met together.
    pub(crate) fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), |sum, one| Self {
            accepted: sum.accepted + one.accepted,
            duplicates: sum.duplicates + one.duplicates,
            busy: sum.busy + one.busy,
            unanswered: sum.unanswered + one.unanswered,
        })
    }
}

/// The sends of a device: every frame some times, in any order.
pub(crate) fn sends(frames: &[Frame], rng: &mut StdRng) -> Vec<Frame> {
    let mut sends = Vec::new();
    for frame in frames {
        let copies = rng.random_range(COPIES);
        sends.extend(std::iter::repeat_n(frame, copies).cloned());
    }
    sends.shuffle(rng);
    sends
}

/// Sends all of it, each to gateways drawn at random until one acknowledges it. `settled` counts them.
pub(crate) async fn send_all(
    device: FleetDevice,
    sends: Vec<Frame>,
    gateways: Arc<[SocketAddr]>,
    settled: Arc<AtomicUsize>,
    seed: u64,
) -> Result<Met> {
    let sending = sends.into_iter().zip(seed..).map(|(frame, seed)| {
        let (device, gateways, settled) = (device.clone(), gateways.clone(), settled.clone());
        async move {
            let met = send(&device, &frame, &gateways, StdRng::seed_from_u64(seed)).await?;
            settled.fetch_add(1, Ordering::Relaxed);
            Ok::<_, anyhow::Error>(met)
        }
    });
    let met: Vec<Met> = stream::iter(sending)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(Met::sum(met))
}

async fn send(device: &FleetDevice, frame: &Frame, gateways: &[SocketAddr], mut rng: StdRng) -> Result<Met> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    let mut met = Met::default();
    loop {
        let gateway = *gateways
            .get(rng.random_range(0..gateways.len()))
            .context("no gateway")?;
        let report =
            json!({"instance": frame.instance, "sentAt": now(0), "observations": frame.observations});
        let pause = match device.report(gateway, &report).await {
            Ok(reply) if reply.status == 200 => {
                take_in(frame, &reply, &mut met)?;
                return Ok(met);
            }
            Ok(reply) => {
                ensure!(matches!(reply.status, 429 | 503), "{reply:?}");
                met.busy += 1;
                let seconds = reply.header("retry-after").context("no Retry-After")?.parse()?;
                Duration::from_secs(seconds)
            }
            Err(_) => {
                met.unanswered += 1;
                Duration::from_secs(1)
            }
        };
        ensure!(
            Instant::now() < deadline,
            "not settled within {SETTLED_WITHIN:?}: {met:?}"
        );
        let pause = pause.min(PAUSE_MAX);
        // With jitter, as agents do it.
        tokio::time::sleep(pause / 2 + pause.mul_f64(rng.random_range(0.0..0.5))).await;
    }
}

/// The verdicts are about every observation, and settle each.
fn take_in(frame: &Frame, reply: &Reply, met: &mut Met) -> Result<()> {
    let verdicts = reply.json()?;
    let count = |field: &str| verdicts[field].as_u64().unwrap_or(0);
    met.accepted += count("accepted");
    met.duplicates += count("duplicates");
    let sent = u64::try_from(frame.observations.len())?;
    ensure!(count("accepted") + count("duplicates") == sent, "{verdicts}");
    ensure!(count("orphaned") == 0, "{verdicts}");
    ensure!(
        verdicts["rejected"].as_array().is_none_or(Vec::is_empty),
        "{verdicts}"
    );
    let ranges = verdicts["acked"].as_array().context("no acked")?;
    for observation in &frame.observations {
        let seq = observation["seq"].as_u64();
        let is_in = |range: &&Value| range[0].as_u64() <= seq && seq <= range[1].as_u64();
        ensure!(
            ranges.iter().any(|range| is_in(&range)),
            "{seq:?} is not in {verdicts}"
        );
    }
    Ok(())
}
