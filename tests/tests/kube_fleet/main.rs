//! Fleets against gateways on a real API server and a real Postgres: nothing is lost, repeated or overwritten, and
//! nothing is asked of the API server that need not be. Each story prints its figures: `-- --nocapture` shows them.
//!
//! `APOLLO_SEED=N` replays the choices of a failed run.

mod auditor;
mod frames;
mod gateways;
mod heartbeats;
mod history;
mod objects;
mod overload;
mod story;
mod ten_thousand;
mod three_gateways;

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use apollo_tests::harness::{kube::KubeWorld, skip};

/// The stories load the whole machine, so one is told at a time.
static TURN: Mutex<()> = Mutex::new(());

/// A turn; `None`, said loudly, if the machine cannot run the story.
fn turn(story: &str) -> Result<Option<MutexGuard<'static, ()>>> {
    if let Some(why) = KubeWorld::missing() {
        skip(story, &why)?;
        return Ok(None);
    }
    Ok(Some(TURN.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// The seed of a run.
fn seed() -> Result<u64> {
    let seed = match std::env::var("APOLLO_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => rand::random(),
    };
    eprintln!("APOLLO_SEED={seed}");
    Ok(seed)
}
