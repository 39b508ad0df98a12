//! One file: what is durable, what its readers see, and the changes in between.

use crate::{
    SECTOR_BYTES,
    fate::{Fates, Sector},
};

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Resize(usize),
}

/// The content of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileImage {
    durable: Vec<u8>,
    live: Vec<u8>,
    unsynced: Vec<Change>,
}

impl FileImage {
    /// What readers see.
    pub(crate) fn live(&self) -> &[u8] {
        &self.live
    }

    /// Changes since the last sync.
    pub(crate) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    pub(crate) fn write(&mut self, offset: usize, data: &[u8]) {
        let data = data.to_vec();
        let change = Change::Write { offset, data };
        apply(&mut self.live, &change);
        self.unsynced.push(change);
    }

    pub(crate) fn resize(&mut self, bytes: usize) {
        let change = Change::Resize(bytes);
        apply(&mut self.live, &change);
        self.unsynced.push(change);
    }

    /// Everything so far becomes durable.
    pub(crate) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// The power goes: of the unsynced changes only what `fates` spares is left.
    pub(crate) fn survive(&mut self, fates: &mut Fates<'_>) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Resize(bytes) => {
                    if fates.size() {
                        self.durable.resize(bytes, 0);
                    }
                }
                Change::Write { offset, data } => self.survive_write(offset, &data, fates),
            }
        }
        self.live.clone_from(&self.durable);
    }

    fn survive_write(&mut self, offset: usize, data: &[u8], fates: &mut Fates<'_>) {
        let (end, old_size) = (offset + data.len(), self.durable.len());
        if end > old_size && fates.size() {
            self.durable.resize(end, 0);
            // A hole before the write is a hole afterwards.
            let space = self.durable.get_mut(old_size.max(offset)..);
            fates.fill(space.unwrap_or_default());
        }
        let mut at = offset;
        while at < end {
            // Sectors lie at multiples of their size, wherever the write begins.
            let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
            let new = data.get(at - offset..next - offset).unwrap_or_default();
            let (from, to) = match fates.sector(new.len()) {
                Sector::Kept => (0, new.len()),
                Sector::Lost => (0, 0),
                Sector::Beginning(length) => (0, length),
                Sector::End(start) => (start, new.len()),
            };
            // Beyond the size that survived there is nothing to write to.
            let space = self.durable.iter_mut().skip(at + from);
            for (old, new) in space.zip(new.get(from..to).unwrap_or_default()) {
                *old = *new;
            }
            at = next;
        }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Resize(bytes) => content.resize(*bytes, 0),
        Change::Write { offset, data } => {
            let end = offset + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            if let Some(space) = content.get_mut(*offset..end) {
                space.copy_from_slice(data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    /// Files of a few sectors: large enough for pieces, small enough for collisions.
    const BYTES: usize = 4 * SECTOR_BYTES;

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let write = (0..BYTES, prop::collection::vec(any::<u8>(), 1..2 * SECTOR_BYTES))
            .prop_map(|(offset, data)| Change::Write { offset, data });
        let change = prop_oneof![4 => write, 1 => (0..BYTES).prop_map(Change::Resize)];
        prop::collection::vec(change, 0..6)
    }

    fn carry_out(image: &mut FileImage, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Write { offset, data } => image.write(*offset, data),
                Change::Resize(bytes) => image.resize(*bytes),
            }
        }
    }

    fn survivor(image: &FileImage, seed: u64, share: Option<f64>) -> Vec<u8> {
        let (mut image, mut rng) = (image.clone(), StdRng::seed_from_u64(seed));
        let mut fates = Fates::new(&mut rng, share);
        fates.next();
        image.survive(&mut fates);
        assert_eq!(image.unsynced(), 0);
        assert_eq!(image.live(), image.durable);
        image.durable
    }

    proptest! {
        #[test]
        fn what_was_synced_survives_and_the_rest_may(synced in changes(), unsynced in changes(), seed: u64) {
            let mut image = FileImage::default();
            carry_out(&mut image, &synced);
            image.sync();
            let durable = image.live().to_vec();
            prop_assert_eq!(&survivor(&image, seed, None), &durable, "nothing was unsynced");
            carry_out(&mut image, &unsynced);
            prop_assert_eq!(&survivor(&image, seed, Some(0.0)), &durable);
            prop_assert_eq!(&survivor(&image, seed, Some(1.0)), image.live());
        }

        /// Powersafe overwrite, and nothing out of thin air.
        #[test]
        fn a_byte_is_an_old_one_or_one_that_was_written(old in prop::collection::vec(any::<u8>(), BYTES..=BYTES),
                                                        unsynced in changes(), seed: u64) {
            let mut image = FileImage::default();
            image.write(0, &old);
            image.sync();
            carry_out(&mut image, &unsynced);
            let resized = unsynced.iter().any(|change| matches!(change, Change::Resize(_)));
            let left = survivor(&image, seed, None);
            for (at, byte) in left.iter().enumerate().take(BYTES) {
                let written = unsynced.iter().any(|change| match change {
                    Change::Write { offset, data } => {
                        at.checked_sub(*offset).and_then(|at| data.get(at)) == Some(byte)
                    }
                    Change::Resize(_) => false,
                });
                // A file that was cut and grows again holds zeros or garbage there.
                prop_assert!(written || old.get(at) == Some(byte) || resized, "byte {at}");
            }
        }
    }

    #[test]
    fn every_fate_is_met_also_the_torn_sector_and_the_size_without_content() {
        let (old, new) = (vec![1; SECTOR_BYTES], vec![2; SECTOR_BYTES]);
        let mut image = FileImage::default();
        image.write(0, &old);
        image.sync();
        image.write(0, &new);
        image.write(SECTOR_BYTES, &new);
        let (mut torn, mut lost, mut grown_only, mut reordered) = (0, 0, 0, 0);
        for seed in 0..500 {
            let left = survivor(&image, seed, None);
            let (first, second) = left.split_at(SECTOR_BYTES);
            torn += usize::from(first.contains(&1) && first.contains(&2));
            lost += usize::from(first == old && second.is_empty());
            grown_only += usize::from(second.len() == SECTOR_BYTES && !second.contains(&2));
            reordered += usize::from(first == old && second == new);
        }
        assert!(
            torn > 0 && lost > 0 && grown_only > 0 && reordered > 0,
            "{torn} {lost} {grown_only} {reordered}"
        );
    }
}
