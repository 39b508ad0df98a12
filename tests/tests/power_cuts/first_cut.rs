//! The smallest cases that the cuts at random instants have found, each by itself and without chance.

use std::path::Path;

use anyhow::Result;
use apollo_power::Disk;
use apollo_tests::harness::World;

use crate::{can_mount, ledger};

/// What `observe` printed is there after a cut, if only what was synced survives, with the data directory at `data_dir`
/// of the disk.
fn the_first_row_survives(data_dir: &str) -> Result<()> {
    let world = World::new(&[])?;
    let (place, disk) = (world.sandbox.join("disk"), Disk::default());
    std::fs::create_dir(&place)?;
    let agent = world.agent("buoy-17")?.with_data_dir(place.join(data_dir));
    let mounted = disk.mount(&place)?;
    let sequence = agent.observe("default/camera", &["--message", "the first"])?;
    disk.cut_now();
    drop(mounted);
    disk.power_on_with_synced_only();
    let file = Path::new(data_dir).join("agent.db");
    let database = ledger::copied(&disk, &file, &world.sandbox.join("survivor"))?;
    let rows = ledger::messages(&database, "SELECT seq, message FROM queue", None)?;
    assert_eq!(rows, [(sequence, "the first".to_owned())]);
    Ok(())
}

/// Found with `APOLLO_SEED=2`: of directories made one in another only the name of the innermost was synced, and all
/// rows went with the outer one.
#[test]
fn a_new_data_directory_in_a_new_directory_survives_the_first_cut() -> Result<()> {
    if !can_mount("a_new_data_directory_in_a_new_directory_survives_the_first_cut")? {
        return Ok(());
    }
    for data_dir in [".", "apollo", "var/apollo", "var/lib/apollo"] {
        the_first_row_survives(data_dir)?;
    }
    Ok(())
}
