//! What becomes of a change that was not synced when the power went.

use rand::{Rng, rngs::StdRng};

use crate::SECTOR_BYTES;

/// How large a share of the unsynced changes of one file or directory survives, one of these for each: everything of
/// one file and nothing of another is the reordering that hurts; nearly everything is what sums and counters miss.
const SHARES: [f64; 4] = [0.0, 0.5, 0.97, 1.0];
/// One sector in this many is torn, if it is neither all kept nor all lost by its file's share.
const TORN_ONE_IN: u32 = 16;

/// What survived a cut, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survival {
    /// Sectors written and not synced that survived.
    pub sectors_kept: u64,
    /// Sectors written and not synced that did not.
    pub sectors_lost: u64,
    /// Sectors of which a part survived.
    pub sectors_torn: u64,
    /// Sizes (a file grew or was cut) that survived without a sync.
    pub sizes_kept: u64,
    /// Sizes that did not.
    pub sizes_lost: u64,
    /// Names (created, renamed, removed) that survived without a sync.
    pub names_kept: u64,
    /// Names that did not.
    pub names_lost: u64,
}

impl Survival {
    /// Changes that were thrown away, whole or in part.
    pub fn thrown_away(&self) -> u64 {
        self.sectors_lost + self.sectors_torn + self.sizes_lost + self.names_lost
    }
}

/// What happens to one sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sector {
    Kept,
    Lost,
    /// The first bytes are new.
    Beginning(usize),
    /// The bytes from here on are new.
    End(usize),
}

/// Draws fates for one file or directory after another.
pub(crate) struct Fates<'a> {
    rng: &'a mut StdRng,
    /// The same share for all, if it is given.
    fixed: Option<f64>,
    share: f64,
    survival: Survival,
}

impl<'a> Fates<'a> {
    pub(crate) fn new(rng: &'a mut StdRng, fixed: Option<f64>) -> Self {
        let survival = Survival::default();
        Self {
            rng,
            fixed,
            share: 0.0,
            survival,
        }
    }

    /// The next file or directory: a share of its own.
    pub(crate) fn next(&mut self) {
        let index = self.rng.random_range(0..SHARES.len());
        let drawn = SHARES.get(index).copied().unwrap_or_default();
        self.share = self.fixed.unwrap_or(drawn);
    }

    /// The fate of a piece of `length` bytes, at most a sector.
    pub(crate) fn sector(&mut self, length: usize) -> Sector {
        debug_assert!(length <= SECTOR_BYTES, "{length} bytes are more than a sector");
        let mixed = self.share > 0.0 && self.share < 1.0;
        if mixed && length > 1 && self.rng.random_ratio(1, TORN_ONE_IN) {
            self.survival.sectors_torn += 1;
            let at = self.rng.random_range(1..length);
            return if self.rng.random() {
                Sector::Beginning(at)
            } else {
                Sector::End(at)
            };
        }
        if self.survives() {
            self.survival.sectors_kept += 1;
            Sector::Kept
        } else {
            self.survival.sectors_lost += 1;
            Sector::Lost
        }
    }

    /// Whether a new size survives.
    pub(crate) fn size(&mut self) -> bool {
        let kept = self.survives();
        *if kept {
            &mut self.survival.sizes_kept
        } else {
            &mut self.survival.sizes_lost
        } += 1;
        kept
    }

    /// Whether a new, other or removed name survives.
    pub(crate) fn name(&mut self) -> bool {
        let kept = self.survives();
        *if kept {
            &mut self.survival.names_kept
        } else {
            &mut self.survival.names_lost
        } += 1;
        kept
    }

    /// What a file holds where it grew and nothing was written: zeros or garbage.
    pub(crate) fn fill(&mut self, space: &mut [u8]) {
        if self.rng.random() {
            self.rng.fill(space);
        } else {
            space.fill(0);
        }
    }

    /// What was counted.
    pub(crate) fn survival(&self) -> Survival {
        self.survival
    }

    fn survives(&mut self) -> bool {
        self.rng.random_bool(self.share)
    }
}
