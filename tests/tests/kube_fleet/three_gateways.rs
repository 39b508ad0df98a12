//! Three gateways, one API server, one Postgres: while both the API server and its etcd restart.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    Gateway, condition,
    fleet::Fleet,
    kube::{Kind, KubeWorld, Part},
    wait,
};
use nix::sys::signal::Signal;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::Value;

use crate::{
    auditor::{self, Audit},
    frames::{self, Frame, Met},
    gateways, seed, turn,
};

const DEVICES: usize = 200;
const PROCESSES: usize = 3;
/// Threads that create objects.
const CREATORS: usize = 8;
/// Longest that a restart may be waited for: the frames before it must be settled.
const REACHED_WITHIN: Duration = Duration::from_secs(120);
/// How long a part is down, milliseconds.
const DOWN_MS: std::ops::Range<u64> = 500..3_000;
/// The other writer's writes without which the story shows too little.
const WRITES_OF_ANOTHER: usize = 100;
/// What gateways may complain of while the API server is away.
const OF_THE_OUTAGE: &[&str] = &[
    "the API server does not do what it is asked",
    "the watch is broken",
    "the store's watch ended",
];

#[test]
fn three_gateways_settle_every_frame_once_while_api_server_and_etcd_restart() -> Result<()> {
    let Some(_turn) = turn("three gateways, one API server, one Postgres")? else {
        return Ok(());
    };
    let seed = seed()?;
    play(seed).with_context(|| {
        format!("replay with: APOLLO_SEED={seed} cargo test -p apollo-tests --test kube_fleet three_gateways")
    })
}

/// All that the devices have to say.
struct Story {
    frames: Vec<Vec<Frame>>,
    sends: Vec<Vec<Frame>>,
}

impl Story {
    fn new(fleet: &Fleet, rng: &mut StdRng) -> Self {
        let devices = fleet.devices().iter().enumerate();
        let frames: Vec<_> = devices
            .map(|(number, device)| frames::of_device(device.name(), number, PROCESSES, rng))
            .collect();
        let sends = frames.iter().map(|frames| frames::sends(frames, rng)).collect();
        Self { frames, sends }
    }
}

fn play(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = KubeWorld::new()?;
    let gateways = gateways::start(&world, 3, &[])?;
    let fleet = Fleet::new(&world.pki, "buoy", DEVICES)?;
    let names = bind_all(&world, &fleet)?;
    let story = Story::new(&fleet, &mut rng);
    let total: usize = story.sends.iter().map(Vec::len).sum();
    let (settled, stop) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));

    let began = Instant::now();
    let (met, audit) = thread::scope(|scope| -> Result<(Met, Audit)> {
        let disturbing = scope.spawn(|| disturb(&world, seed, &settled, total));
        let auditing = scope.spawn(|| auditor::audit(&world, &names, &stop));
        let met = send_all(&fleet, &gateways, &story, &settled, seed);
        stop.store(true, Ordering::Relaxed);
        let audit = auditing
            .join()
            .map_err(|_| anyhow::anyhow!("the auditor panicked"))??;
        let disturbed = disturbing
            .join()
            .map_err(|_| anyhow::anyhow!("the disturber panicked"))?;
        let met = met?;
        disturbed?;
        Ok((met, audit))
    })?;
    let took = began.elapsed();

    history_holds_each_once(&world, &fleet, &story)?;
    let rows: u64 = world
        .postgres
        .psql("SELECT count(*) FROM apollo.observations")?
        .parse()?;
    statuses_are_the_maximum(&world, &names)?;
    epochs_agree(&world)?;
    let accepted = gateways::sum(&gateways, "apollo_gateway_observations_total", "accepted")?;
    // An answer may be lost on its way, and a row be there before a report is settled: never the other way round.
    ensure!(
        met.accepted as f64 <= accepted && accepted <= rows as f64,
        "{met:?}, {accepted} of {rows}"
    );
    gateways::complain_only_of(&gateways, OF_THE_OUTAGE)?;
    let writes = |labels| gateways::sum(&gateways, "apollo_gateway_status_writes_total", labels);
    let conflicts = writes("conflict")?;
    eprintln!(
        "{DEVICES} devices, {total} frames sent until settled in {took:.1?}, {rows} observations; devices met {met:?}\n\
         409s met and resolved {conflicts}, status writes {}, not known or refused {}, coalesced {}\n\
         the other writer: {} writes, {} conflicts, {} without an answer\nrequests to the API server {:#?}",
        writes("ok")?,
        writes("error")?,
        gateways::sum(&gateways, "apollo_gateway_kube_writes_coalesced_total", "")?,
        audit.writes,
        audit.conflicts,
        audit.unknown,
        gateways::asked(&gateways)?,
    );
    ensure!(
        conflicts >= 10.0,
        "only {conflicts} conflicts: the story shows less than it says"
    );
    ensure!(met.busy + met.unanswered > 0, "no device noticed an outage");
    ensure!(
        audit.writes >= WRITES_OF_ANOTHER,
        "{} writes of the other writer",
        audit.writes
    );
    Ok(())
}

/// Creates every device's processes; their names.
fn bind_all(world: &KubeWorld, fleet: &Fleet) -> Result<Vec<String>> {
    let names = fleet.devices().iter().flat_map(|device| {
        let name = device.name().to_owned();
        (0..PROCESSES).map(move |number| (frames::process(&name, number), name.clone()))
    });
    let names: Vec<(String, String)> = names.collect();
    thread::scope(|scope| -> Result<()> {
        let parts = names.chunks(names.len().div_ceil(CREATORS));
        let creating = parts.map(|part| {
            scope.spawn(|| {
                part.iter()
                    .try_for_each(|(name, device)| world.bind(name, device).map(drop))
            })
        });
        let creating: Vec<_> = creating.collect();
        for part in creating {
            part.join().map_err(|_| anyhow::anyhow!("a creator panicked"))??;
        }
        Ok(())
    })?;
    Ok(names.into_iter().map(|(name, _)| name).collect())
}

fn send_all(
    fleet: &Fleet,
    gateways: &[Gateway],
    story: &Story,
    settled: &Arc<AtomicUsize>,
    seed: u64,
) -> Result<Met> {
    let addresses: Arc<[SocketAddr]> = gateways.iter().map(Gateway::udp).collect();
    let sends: BTreeMap<String, Vec<Frame>> = fleet
        .devices()
        .iter()
        .map(|device| device.name().to_owned())
        .zip(story.sends.iter().cloned())
        .collect();
    let met = fleet.each(DEVICES, |device| {
        let sends = sends.get(device.name()).cloned().unwrap_or_default();
        frames::send_all(device, sends, addresses.clone(), settled.clone(), seed)
    })?;
    let mut sum = Met::default();
    for one in met {
        sum += one;
    }
    Ok(sum)
}

/// Restarts API server and etcd once each, in an order and by signals that the seed draws, after a quarter and after
/// six tenths of the frames.
fn disturb(world: &KubeWorld, seed: u64, settled: &AtomicUsize, total: usize) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut parts = [Part::ApiServer, Part::Etcd];
    parts.shuffle(&mut rng);
    for (part, tenths) in parts.into_iter().zip([2, 6]) {
        let signal = if rng.random() {
            Signal::SIGTERM
        } else {
            Signal::SIGKILL
        };
        wait::until_true("frames to be settled", REACHED_WITHIN, || {
            Ok(settled.load(Ordering::Relaxed) >= total * tenths / 10)
        })?;
        let at = settled.load(Ordering::Relaxed);
        world.api.stop(part, signal)?;
        // The passing of time is the subject: an outage.
        let down = Duration::from_millis(rng.random_range(DOWN_MS));
        wait::pause(down);
        world.api.start_part(part)?;
        world.api.await_ready()?;
        let after = settled.load(Ordering::Relaxed);
        eprintln!("{part:?} restarted by {signal} at {at} of {total}, down for {down:?}, ready at {after}");
        ensure!(at < total, "all was settled before {part:?} was restarted");
    }
    Ok(())
}

/// History is the set of what was sent, nothing more, nothing less, and nothing else under the same identity.
fn history_holds_each_once(world: &KubeWorld, fleet: &Fleet, story: &Story) -> Result<()> {
    let mut sent = BTreeSet::new();
    for (device, frames) in fleet.devices().iter().zip(&story.frames) {
        for frame in frames {
            for observation in &frame.observations {
                let text = |field: &str| observation[field].as_str().unwrap_or_default().to_owned();
                sent.insert(format!(
                    "{}|{}|{}|{}|{}|{}",
                    device.name(),
                    frame.instance,
                    observation["seq"],
                    text("process"),
                    text("state"),
                    text("message")
                ));
            }
        }
    }
    let rows = world.postgres.psql(
        "SELECT device, instance, seq, process, state, message FROM apollo.observations WHERE orphaned = 0",
    )?;
    let kept: Vec<String> = rows.lines().map(str::to_owned).collect();
    let distinct: BTreeSet<String> = kept.iter().cloned().collect();
    ensure!(
        kept.len() == distinct.len(),
        "{} rows, {} of them different",
        kept.len(),
        distinct.len()
    );
    let missing: Vec<_> = sent.difference(&distinct).take(5).collect();
    let unsent: Vec<_> = distinct.difference(&sent).take(5).collect();
    ensure!(
        missing.is_empty() && unsent.is_empty(),
        "missing {missing:#?}, never sent {unsent:#?}"
    );
    Ok(())
}

/// Each status is that of the greatest (epoch, sequence) in history that has a state, in every field.
fn statuses_are_the_maximum(world: &KubeWorld, names: &[String]) -> Result<()> {
    let rows = world.postgres.psql(
        "SELECT DISTINCT ON (process) process, json_build_object('state', state, 'pid', pid, 'exitCode', exit_code,
            'restarts', restarts, 'reason', reason, 'message', message,
            'sync', json_build_object('epoch', epoch, 'sequence', seq))
         FROM apollo.observations WHERE state IS NOT NULL ORDER BY process, epoch DESC, seq DESC",
    )?;
    let mut maxima = BTreeMap::new();
    for row in rows.lines() {
        let (process, fields) = row.split_once('|').context("no such row")?;
        maxima.insert(process.to_owned(), serde_json::from_str::<Value>(fields)?);
    }
    ensure!(
        maxima.len() > names.len() / 2,
        "only {} processes were observed",
        maxima.len()
    );
    for name in names {
        let status = world.status(name)?;
        let connected = condition(&status, "AgentConnected");
        ensure!(connected["status"] == "True", "{name}: {status}");
        let expected = maxima
            .get(&format!("default/{name}"))
            .cloned()
            .unwrap_or_default();
        for field in [
            "state", "pid", "exitCode", "restarts", "reason", "message", "sync",
        ] {
            ensure!(
                status[field] == expected[field],
                "{name}: {status} in place of {expected}"
            );
        }
    }
    Ok(())
}

/// Epochs are the same in history and in Devices, and no Device knows more than history.
fn epochs_agree(world: &KubeWorld) -> Result<()> {
    let rows = world.postgres.psql(
        "SELECT device, instance, epoch, max(seq) FROM apollo.observations GROUP BY device, instance, epoch",
    )?;
    let mut in_history = BTreeMap::new();
    for row in rows.lines() {
        let columns: Vec<&str> = row.split('|').collect();
        let [device, instance, epoch, highest] = columns[..] else {
            anyhow::bail!("{row}");
        };
        let known = in_history.insert(
            (device, instance),
            (epoch.parse::<u64>()?, highest.parse::<u64>()?),
        );
        ensure!(known.is_none(), "{device} {instance} has two epochs");
    }
    let devices = world.api.client().items(Kind::DEVICES)?;
    ensure!(devices.len() == DEVICES, "{} Devices", devices.len());
    for device in &devices {
        let name = device["metadata"]["name"].as_str().unwrap_or_default();
        let instances = device["status"]["instances"].as_array().context("no instances")?;
        let mut epochs = BTreeSet::new();
        for instance in instances {
            let id = instance["id"].as_str().unwrap_or_default();
            let (epoch, highest) = in_history
                .get(&(name, id))
                .context("an instance that sent nothing")?;
            ensure!(
                instance["epoch"] == *epoch,
                "{name}: {instance} is epoch {epoch} in history"
            );
            ensure!(
                instance["highestSequence"].as_u64().unwrap_or(0) <= *highest,
                "{name}: {instance}"
            );
            epochs.insert(*epoch);
        }
        ensure!(epochs == BTreeSet::from([1, 2]), "{name}: epochs {epochs:?}");
    }
    Ok(())
}
