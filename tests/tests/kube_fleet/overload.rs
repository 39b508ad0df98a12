//! An API server that takes few requests at once and refuses the others with 429.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Instant,
};

use anyhow::{Result, ensure};
use apollo_tests::harness::{fleet::Fleet, kube::KubeWorld};
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    frames::Met,
    gateways, history, seed,
    story::{self, Story},
    turn,
};

const DEVICES: usize = 60;
const PROCESSES: usize = 2;
/// Requests at once, those that change something and the others. A gateway would send 16 writes.
const LIMITS: [&str; 2] = ["--max-mutating-requests-inflight=2", "--max-requests-inflight=8"];

#[test]
fn an_api_server_with_too_much_to_do_is_left_alone_and_everything_arrives() -> Result<()> {
    let Some(_turn) = turn("an API server that answers 429")? else {
        return Ok(());
    };
    let seed = seed()?;
    let mut rng = StdRng::seed_from_u64(seed);
    let world = KubeWorld::with_api_arguments(&LIMITS)?;
    let gateways = gateways::start(&world, 2, &[])?;
    let fleet = Fleet::new(&world.pki, "well", DEVICES)?;
    let processes = story::processes(&fleet, PROCESSES);
    // One after the other: who writes these is not what is tested.
    processes
        .iter()
        .try_for_each(|(name, device)| world.bind(name, device).map(drop))?;
    let names: Vec<String> = processes.into_iter().map(|(name, _)| name).collect();
    let story = Story::new(&fleet, PROCESSES, &mut rng);
    let began = Instant::now();
    let met = story.send(&fleet, &gateways, &Arc::new(AtomicUsize::new(0)), seed)?;
    let took = began.elapsed();
    history::holds_each_once(&world, &fleet, &story)?;
    history::statuses_are_the_maximum(&world, &names)?;
    let Met { busy, .. } = met;
    let asked = gateways::asked(&gateways)?;
    let refused: f64 = asked
        .iter()
        .filter(|(labels, _)| labels.contains("patch") && labels.contains("code=\"429\""))
        .map(|(_, count)| count)
        .sum();
    eprintln!(
        "settled in {took:.1?}; devices met {met:?}; {refused} writes were refused with 429: {asked:#?}"
    );
    ensure!(refused > 0.0 && busy > 0, "nobody was refused");
    gateways::complain_only_of(&gateways, &["the API server does not do what it is asked"])
}
