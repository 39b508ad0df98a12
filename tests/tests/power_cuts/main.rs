//! Power cuts: the real agent, and the real gateway with its store, on a disk that throws unsynced changes away at a
//! random instant (R-01, Q-01, G-02). The database always opens, and nothing that was confirmed is lost.
//!
//! `APOLLO_CUTS=N` cuts the power N times instead of a few; `APOLLO_SEED=N` replays the choices of a failed run. The
//! disk is described in `tests/power/src/lib.rs`, what is checked in `docs/testing.md`, "Power cuts".

mod agent_life;
mod agent_scenes;
mod agent_survivor;
mod disk;
mod first_cut;
mod gateway_life;
mod gateway_scenes;
mod ledger;
mod program;
mod tally;
mod verdict_book;

use anyhow::{Context, Result, ensure};
use apollo_power::{Disk, Syncs};
use apollo_tests::harness::{Sandbox, World, skip};
use rand::{Rng, SeedableRng, rngs::StdRng};

use agent_life::AgentLife;
use gateway_life::GatewayLife;
use ledger::Loss;
use tally::Tally;

/// Cuts of the agent's disk where `APOLLO_CUTS` does not say otherwise: what fits a run of all tests.
const AGENT_CUTS: u32 = 40;
/// Cuts of the gateway's.
const GATEWAY_CUTS: u32 = 20;
/// A lying disk must be found out within this many cuts.
const CUTS_OF_A_LYING_DISK: u32 = 30;
/// Cuts after which a device or a gateway begins anew with an empty disk, so that creation is met again and again, and
/// what came through many cuts too.
const CUTS_IN_A_LIFE: std::ops::RangeInclusive<u32> = 4..=12;

fn seed() -> Result<u64> {
    match std::env::var("APOLLO_SEED") {
        Ok(seed) => Ok(seed.parse()?),
        Err(_) => Ok(rand::random()),
    }
}

fn cuts(default: u32) -> Result<u32> {
    match std::env::var("APOLLO_CUTS") {
        Ok(cuts) => Ok(cuts.parse()?),
        Err(_) => Ok(default),
    }
}

/// Whether this machine can mount the disk; says that the test is left out if not.
fn can_mount(test: &str) -> Result<bool> {
    let sandbox = Sandbox::new()?;
    match Disk::default().mount(sandbox.path()) {
        Ok(_mounted) => Ok(true),
        Err(error) => {
            skip(test, &format!("{:#}", anyhow::Error::from(error)))?;
            Ok(false)
        }
    }
}

fn replay(test: &str, seed: u64, cuts: u32) -> String {
    format!(
        "replay with: APOLLO_SEED={seed} APOLLO_CUTS={cuts} cargo test -p apollo-tests --test power_cuts {test}"
    )
}

#[test]
fn what_the_agent_confirmed_survives_power_cuts_at_any_instant() -> Result<()> {
    let test = "what_the_agent_confirmed_survives_power_cuts_at_any_instant";
    if !can_mount(test)? {
        return Ok(());
    }
    let (seed, cuts) = (seed()?, cuts(AGENT_CUTS)?);
    let tally = cut_agents(seed, cuts, Syncs::Honest).with_context(|| replay(test, seed, cuts))?;
    println!("seed {seed}: {tally}");
    tally.is_not_vacuous(cuts)
}

#[test]
fn what_the_gateway_confirmed_survives_power_cuts_at_any_instant() -> Result<()> {
    let test = "what_the_gateway_confirmed_survives_power_cuts_at_any_instant";
    if !can_mount(test)? {
        return Ok(());
    }
    let (seed, cuts) = (seed()?, cuts(GATEWAY_CUTS)?);
    let tally = cut_gateways(seed, cuts, Syncs::Honest).with_context(|| replay(test, seed, cuts))?;
    println!("seed {seed}: {tally}");
    tally.is_not_vacuous(cuts)
}

/// The same with a disk that ignores syncs must find a loss: else the tests above show nothing.
fn is_found_out(test: &str, run: impl Fn(u64) -> Result<Tally>) -> Result<()> {
    if !can_mount(test)? {
        return Ok(());
    }
    let seed = seed()?;
    let found = run(seed).err();
    let found = found.with_context(|| format!("no loss; {}", replay(test, seed, CUTS_OF_A_LYING_DISK)))?;
    ensure!(found.downcast_ref::<Loss>().is_some(), "not a loss: {found:?}");
    println!("seed {seed}: found {found:#}");
    Ok(())
}

#[test]
fn an_agent_on_a_disk_that_ignores_syncs_of_files_is_found_out() -> Result<()> {
    is_found_out(
        "an_agent_on_a_disk_that_ignores_syncs_of_files_is_found_out",
        |seed| cut_agents(seed, CUTS_OF_A_LYING_DISK, Syncs::IgnoredForFiles),
    )
}

#[test]
fn an_agent_on_a_disk_that_ignores_syncs_of_directories_is_found_out() -> Result<()> {
    is_found_out(
        "an_agent_on_a_disk_that_ignores_syncs_of_directories_is_found_out",
        |seed| cut_agents(seed, CUTS_OF_A_LYING_DISK, Syncs::IgnoredForDirectories),
    )
}

#[test]
fn a_gateway_on_a_disk_that_ignores_syncs_of_files_is_found_out() -> Result<()> {
    is_found_out(
        "a_gateway_on_a_disk_that_ignores_syncs_of_files_is_found_out",
        |seed| cut_gateways(seed, CUTS_OF_A_LYING_DISK, Syncs::IgnoredForFiles),
    )
}

/// One device after another, each with a disk of its own, until `cuts` have been made.
fn cut_agents(seed: u64, cuts: u32, syncs: Syncs) -> Result<Tally> {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new(&[])?;
    let mut tally = Tally::default();
    for number in 1.. {
        let left = cuts.saturating_sub(tally.cuts());
        if left == 0 {
            break;
        }
        let cuts = rng.random_range(CUTS_IN_A_LIFE).min(left);
        AgentLife::new(&world, number, syncs, &mut rng)?.live(cuts, &mut rng, &mut tally)?;
    }
    Ok(tally)
}

/// One gateway after another, each with a disk of its own, until `cuts` have been made.
fn cut_gateways(seed: u64, cuts: u32, syncs: Syncs) -> Result<Tally> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    while tally.cuts() < cuts {
        let left = cuts - tally.cuts();
        let cuts = rng.random_range(CUTS_IN_A_LIFE).min(left);
        GatewayLife::new(syncs)?.live(cuts, &mut rng, &mut tally)?;
    }
    Ok(tally)
}
