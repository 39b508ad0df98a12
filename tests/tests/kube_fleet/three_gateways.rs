//! Three gateways, one API server, one Postgres: while both the API server and its etcd restart.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    fleet::Fleet,
    kube::{KubeWorld, Part},
    wait,
};
use nix::sys::signal::Signal;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{
    auditor::{self, Audit},
    frames::Met,
    gateways, history, objects, seed,
    story::{self, Story},
    turn,
};

const DEVICES: usize = 200;
const PROCESSES: usize = 3;
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

fn play(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = KubeWorld::new()?;
    let gateways = gateways::start(&world, 3, &[])?;
    let fleet = Fleet::new(&world.pki, "buoy", DEVICES)?;
    let processes = story::processes(&fleet, PROCESSES);
    objects::create(&processes, |(name, device)| world.bind(name, device))?;
    let names: Vec<String> = processes.into_iter().map(|(name, _)| name).collect();
    let story = Story::new(&fleet, PROCESSES, &mut rng);
    let total = story.total();
    let (settled, stop) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));

    let began = Instant::now();
    let (met, audit) = thread::scope(|scope| -> Result<(Met, Audit)> {
        let disturbing = scope.spawn(|| disturb(&world, seed, &settled, total));
        let auditing = scope.spawn(|| auditor::audit(&world, &names, &stop));
        let met = story.send(&fleet, &gateways, &settled, seed);
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

    history::holds_each_once(&world, &fleet, &story)?;
    let rows: u64 = world
        .postgres
        .psql("SELECT count(*) FROM apollo.observations")?
        .parse()?;
    history::statuses_are_the_maximum(&world, &names)?;
    history::epochs_agree(&world, DEVICES)?;
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
