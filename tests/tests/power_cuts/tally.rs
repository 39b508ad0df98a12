//! Where the cuts fell and what they threw away: so that nobody takes a test for proof that cut nothing.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, ensure};
use apollo_power::{Cut, Operation};

/// Of so many cuts at least one must have fallen into each scene and into a checkpoint. Below that, chance decides.
const ENOUGH_FOR_EVERY_SCENE: u32 = 100;

/// The cuts of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    scenes: BTreeMap<&'static str, u32>,
    operations: BTreeMap<Operation, u32>,
    in_checkpoint: u32,
    threw_away: u32,
    confirmed: u64,
    survival: apollo_power::Survival,
}

impl Tally {
    /// Adds a cut in a scene. `database` is the name of the file into which only a checkpoint, or the creation, writes.
    pub(crate) fn add(&mut self, scene: &'static str, database: &str, cut: &Cut) {
        *self.scenes.entry(scene).or_default() += 1;
        if let Some((operation, _)) = &cut.during {
            *self.operations.entry(*operation).or_default() += 1;
        }
        self.in_checkpoint += u32::from(scene != CREATION && cut.unsynced.contains_key(database));
        self.threw_away += u32::from(cut.survival.thrown_away() > 0);
        let (sum, new) = (&mut self.survival, cut.survival);
        sum.sectors_kept += new.sectors_kept;
        sum.sectors_lost += new.sectors_lost;
        sum.sectors_torn += new.sectors_torn;
        sum.sizes_kept += new.sizes_kept;
        sum.sizes_lost += new.sizes_lost;
        sum.names_kept += new.names_kept;
        sum.names_lost += new.names_lost;
    }

    /// Adds what was confirmed in a life and checked at its end.
    pub(crate) fn add_confirmed(&mut self, count: usize) {
        self.confirmed += count as u64;
    }

    /// Cuts so far.
    pub(crate) fn cuts(&self) -> u32 {
        self.scenes.values().sum()
    }

    /// An error unless the cuts could have done harm.
    pub(crate) fn is_not_vacuous(&self, cuts: u32) -> Result<()> {
        ensure!(self.cuts() == cuts, "{} cuts instead of {cuts}", self.cuts());
        ensure!(
            self.threw_away * 2 >= cuts,
            "only {} of {cuts} cuts threw anything away",
            self.threw_away
        );
        ensure!(self.confirmed > 0, "nothing was ever confirmed");
        if cuts >= ENOUGH_FOR_EVERY_SCENE {
            ensure!(self.in_checkpoint > 0, "no cut fell into a checkpoint: {self}");
            for operation in [Operation::Write, Operation::SyncFile, Operation::SyncDirectory] {
                ensure!(
                    self.operations.contains_key(&operation),
                    "no cut fell into a {operation:?}"
                );
            }
        }
        Ok(())
    }
}

/// The scene in which a database is made.
pub(crate) const CREATION: &str = "creation";

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cuts in scenes {:?}, {} in a checkpoint, at operations {:?}; {} threw something away; {} confirmed; \
             unsynced changes: {:?}",
            self.cuts(),
            self.scenes,
            self.in_checkpoint,
            self.operations,
            self.threw_away,
            self.confirmed,
            self.survival
        )
    }
}
