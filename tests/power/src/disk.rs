//! The disk: counts operations, cuts the power at the one asked for, and comes back with what survived.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};

use crate::{
    fate::{Fates, Survival},
    mount::{MountError, Mounted},
    tree::{Node, NodeId, Tree},
};

/// Largest file. The databases of a test have a few MiB; beyond this something has gone wild.
const MAX_FILE_BYTES: usize = 256 * 1024 * 1024;
/// The end of the names of SQLite's shared-memory files. They are mapped, so their writes reach the disk when the kernel
/// likes: they take part in a cut, but do not count as operations, or no seed would mean the same instant twice.
const SHARED_MEMORY: &str = "-shm";

/// What a program asked of the disk, of the kinds that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Part of a file is written.
    Write,
    /// A file is cut or grows.
    Resize,
    /// A file gets its first name.
    Create,
    /// A directory is made.
    MakeDirectory,
    /// A name is removed.
    Remove,
    /// A file gets another name.
    Rename,
    /// `fsync` or `fdatasync` of a file.
    SyncFile,
    /// `fsync` of a directory.
    SyncDirectory,
}

/// Which operations are counted towards a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum At {
    /// All that change something.
    #[default]
    Any,
    /// Syncs, of files and directories: the moment at which the most is at stake.
    Sync,
    /// Names: files and directories made, removed, renamed.
    Name,
}

impl At {
    fn counts(self, operation: Operation) -> bool {
        let sync = matches!(operation, Operation::SyncFile | Operation::SyncDirectory);
        let content = matches!(operation, Operation::Write | Operation::Resize);
        match self {
            Self::Any => true,
            Self::Sync => sync,
            Self::Name => !sync && !content,
        }
    }
}

/// What a sync does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syncs {
    /// What it promises.
    #[default]
    Honest,
    /// Syncs of files are answered and ignored, as by a disk that lies about its cache.
    IgnoredForFiles,
    /// Syncs of directories are answered and ignored.
    IgnoredForDirectories,
}

/// A cut: where it fell and what it threw away.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The operation under way; `None` if the power went between two.
    pub during: Option<(Operation, String)>,
    /// Operations since the power came on.
    pub operations: u64,
    /// Unsynced changes at that moment, by file name; those of directories under `names`.
    pub unsynced: BTreeMap<String, usize>,
    /// What became of them.
    pub survival: Survival,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoPower,
    NotFound,
    Exists,
    NotADirectory,
    IsADirectory,
    NotEmpty,
    TooLarge,
    OtherDirectory,
}

pub(crate) type Answer<T> = Result<T, Refusal>;

pub(crate) struct State {
    tree: Tree,
    syncs: Syncs,
    power: bool,
    /// Operations of a kind until the power goes; `None`: it stays.
    left: Option<(At, u64)>,
    operations: u64,
    during: Option<(Operation, String)>,
}

/// A disk. Clones are the same disk.
#[derive(Clone)]
pub struct Disk {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Default for Disk {
    fn default() -> Self {
        let state = State {
            tree: Tree::new(),
            syncs: Syncs::default(),
            power: true,
            left: None,
            operations: 0,
            during: None,
        };
        Self {
            shared: Arc::new((Mutex::new(state), Condvar::new())),
        }
    }
}

impl Disk {
    /// Mounts it on an empty directory, until the handle is dropped.
    ///
    /// # Errors
    /// A machine without FUSE, or without the right to mount.
    pub fn mount(&self, directory: &Path) -> Result<Mounted, MountError> {
        Mounted::new(self.clone(), directory)
    }

    /// What syncs do from now on.
    pub fn set_syncs(&self, syncs: Syncs) {
        self.state().syncs = syncs;
    }

    /// The power goes at the `number`-th operation of a kind from now (from 1): a write or a new name is on its way to
    /// the platter then, a sync does nothing.
    pub fn cut_at(&self, at: At, number: u64) {
        self.state().left = Some((at, number.max(1)));
    }

    /// The power goes now, if it has not gone already.
    pub fn cut_now(&self) {
        let mut state = self.state();
        state.power = false;
        self.shared.1.notify_all();
    }

    /// Whether the power has gone.
    pub fn is_cut(&self) -> bool {
        !self.state().power
    }

    /// Waits until the power has gone; false if it has not `within` that.
    pub fn wait_for_cut(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        while state.power {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.1.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Changing operations since the power came on.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The power comes back, after a cut (or cuts it first): what is on the disk now survived, as `rng` decided. Nothing
    /// may have it mounted.
    pub fn power_on(&self, rng: &mut StdRng) -> Cut {
        self.come_back(rng, None)
    }

    /// As [`Disk::power_on`], with the hardest fate: nothing survived that was not synced.
    pub fn power_on_with_synced_only(&self) -> Cut {
        self.come_back(&mut StdRng::seed_from_u64(0), Some(0.0))
    }

    fn come_back(&self, rng: &mut StdRng, share: Option<f64>) -> Cut {
        self.cut_now();
        let mut state = self.state();
        let unsynced = state.tree.unsynced();
        let mut fates = Fates::new(rng, share);
        state.tree.survive(&mut fates);
        state.power = true;
        state.left = None;
        Cut {
            during: state.during.take(),
            operations: std::mem::take(&mut state.operations),
            unsynced,
            survival: fates.survival(),
        }
    }

    /// Copies every file as it is seen into a real directory, to look at after a failure.
    ///
    /// # Errors
    /// Whatever that directory's disk says.
    pub fn copy_to(&self, directory: &Path) -> std::io::Result<()> {
        let state = self.state();
        copy(&state.tree, crate::tree::ROOT, directory)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out a changing operation, unless the power is gone or goes now.
    pub(crate) fn change<T>(
        &self,
        operation: Operation,
        name: impl FnOnce(&State) -> String,
        work: impl FnOnce(&mut State) -> Answer<T>,
    ) -> Answer<T> {
        let mut state = self.state();
        let state = &mut *state;
        if !state.power {
            return Err(Refusal::NoPower);
        }
        let name = name(state);
        if name.ends_with(SHARED_MEMORY) {
            return work(state);
        }
        state.operations += 1;
        let goes = match &mut state.left {
            Some((at, left)) if at.counts(operation) => {
                *left = left.saturating_sub(1);
                *left == 0
            }
            _ => false,
        };
        if !goes {
            return work(state);
        }
        if !matches!(operation, Operation::SyncFile | Operation::SyncDirectory) {
            // It was on its way: it counts among the unsynced changes. Nobody learns whether it worked.
            let _unknown = work(state);
        }
        state.during = Some((operation, name));
        state.power = false;
        self.shared.1.notify_all();
        Err(Refusal::NoPower)
    }
}

impl State {
    /// What is there, for requests that change nothing.
    pub(crate) fn tree(&self) -> Answer<&Tree> {
        if self.power {
            Ok(&self.tree)
        } else {
            Err(Refusal::NoPower)
        }
    }

    /// Some name of a file or directory, for people.
    pub(crate) fn name_of(&self, id: NodeId) -> String {
        self.tree.name_of(id)
    }

    pub(crate) fn write(&mut self, file: NodeId, offset: usize, data: &[u8]) -> Answer<()> {
        if offset.saturating_add(data.len()) > MAX_FILE_BYTES {
            return Err(Refusal::TooLarge);
        }
        self.tree
            .file(file)
            .ok_or(Refusal::IsADirectory)?
            .write(offset, data);
        Ok(())
    }

    pub(crate) fn resize(&mut self, file: NodeId, bytes: usize) -> Answer<()> {
        if bytes > MAX_FILE_BYTES {
            return Err(Refusal::TooLarge);
        }
        let image = self.tree.file(file).ok_or(Refusal::IsADirectory)?;
        image.resize(bytes);
        Ok(())
    }

    pub(crate) fn add(&mut self, directory: NodeId, name: &OsStr, node: Node) -> Answer<NodeId> {
        let names = self.tree.names(directory).ok_or(Refusal::NotADirectory)?;
        if names.contains_key(name) {
            return Err(Refusal::Exists);
        }
        Ok(self.tree.add(directory, name, node))
    }

    pub(crate) fn remove(&mut self, directory: NodeId, name: &OsStr, a_directory: bool) -> Answer<()> {
        let node = self.tree.find(directory, name).ok_or(Refusal::NotFound)?;
        match (self.tree.names(node), a_directory) {
            (Some(_), false) => return Err(Refusal::IsADirectory),
            (None, true) => return Err(Refusal::NotADirectory),
            (Some(names), true) if !names.is_empty() => return Err(Refusal::NotEmpty),
            _ => {}
        }
        self.tree.remove(directory, name);
        Ok(())
    }

    pub(crate) fn rename(
        &mut self,
        from: (NodeId, &OsStr),
        to: (NodeId, &OsStr),
        may_replace: bool,
    ) -> Answer<()> {
        if from.0 != to.0 {
            return Err(Refusal::OtherDirectory);
        }
        self.tree.find(from.0, from.1).ok_or(Refusal::NotFound)?;
        match self.tree.find(to.0, to.1) {
            Some(_) if !may_replace => return Err(Refusal::Exists),
            Some(node) if self.tree.names(node).is_some() => return Err(Refusal::IsADirectory),
            _ => {}
        }
        self.tree.rename(from.0, from.1, to.1);
        Ok(())
    }

    pub(crate) fn sync_file(&mut self, file: NodeId) -> Answer<()> {
        let image = self.tree.file(file).ok_or(Refusal::NotFound)?;
        if self.syncs != Syncs::IgnoredForFiles {
            image.sync();
        }
        Ok(())
    }

    pub(crate) fn sync_directory(&mut self, directory: NodeId) -> Answer<()> {
        if self.syncs != Syncs::IgnoredForDirectories {
            self.tree.sync_names(directory);
        }
        Ok(())
    }
}

fn copy(tree: &Tree, directory: NodeId, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for (name, node) in tree.names(directory).into_iter().flatten() {
        match tree.node(*node) {
            Some(Node::File(image)) => std::fs::write(to.join(name), image.live())?,
            Some(Node::Directory { .. }) => copy(tree, *node, &to.join(name))?,
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{file::FileImage, tree::ROOT};

    /// A file of that name, made while the power is on.
    fn create(disk: &Disk, name: &str) -> Answer<NodeId> {
        let file = Node::File(FileImage::default());
        disk.change(
            Operation::Create,
            |_| name.to_owned(),
            |state| state.add(ROOT, OsStr::new(name), file),
        )
    }

    fn write(disk: &Disk, file: NodeId, data: &[u8]) -> Answer<()> {
        disk.change(
            Operation::Write,
            |state| state.name_of(file),
            |state| state.write(file, 0, data),
        )
    }

    fn sync(disk: &Disk, file: NodeId) -> Answer<()> {
        let name = |state: &State| state.name_of(file);
        disk.change(Operation::SyncFile, name, |state| state.sync_file(file))
    }

    fn sync_root(disk: &Disk) -> Answer<()> {
        let sync = |state: &mut State| state.sync_directory(ROOT);
        disk.change(Operation::SyncDirectory, |_| "/".to_owned(), sync)
    }

    fn content(disk: &Disk, file: NodeId) -> Option<Vec<u8>> {
        disk.state().tree().ok()?.content(file).map(<[u8]>::to_vec)
    }

    #[test]
    fn the_power_goes_at_the_operation_asked_for_and_everything_after_it_fails() {
        let disk = Disk::default();
        disk.cut_at(At::Any, 3);
        let file = create(&disk, "a").unwrap();
        write(&disk, file, b"1").unwrap();
        assert!(!disk.is_cut());
        assert_eq!(write(&disk, file, b"2"), Err(Refusal::NoPower));
        assert!(disk.is_cut() && disk.wait_for_cut(Duration::ZERO));
        assert_eq!(write(&disk, file, b"3"), Err(Refusal::NoPower));
        assert_eq!(content(&disk, file), None);
        let cut = disk.power_on_with_synced_only();
        assert_eq!(cut.during, Some((Operation::Write, "a".to_owned())));
        assert_eq!((cut.operations, cut.unsynced.get("a")), (3, Some(&2)));
        assert_eq!((cut.survival.sectors_lost, cut.survival.names_lost), (2, 1));
        assert!(!disk.is_cut());
        assert!(
            disk.state()
                .tree()
                .is_ok_and(|tree| tree.find(ROOT, OsStr::new("a")).is_none())
        );
    }

    #[test]
    fn a_sync_during_which_the_power_goes_does_nothing() {
        let disk = Disk::default();
        let file = create(&disk, "a").unwrap();
        sync_root(&disk).unwrap();
        write(&disk, file, b"1").unwrap();
        disk.cut_at(At::Sync, 1);
        write(&disk, file, b"2").unwrap();
        assert_eq!(sync(&disk, file), Err(Refusal::NoPower));
        disk.power_on_with_synced_only();
        assert_eq!(content(&disk, file), Some(Vec::new()));
    }

    #[test]
    fn names_are_counted_apart_and_shared_memory_is_not_counted() {
        let disk = Disk::default();
        disk.cut_at(At::Name, 2);
        let mapped = create(&disk, "a.db-shm").unwrap();
        write(&disk, mapped, b"1").unwrap();
        let file = create(&disk, "a.db").unwrap();
        write(&disk, file, b"1").unwrap();
        sync(&disk, file).unwrap();
        assert_eq!(create(&disk, "b.db"), Err(Refusal::NoPower));
        assert_eq!(disk.operations(), 4);
    }

    #[test]
    fn a_lying_disk_says_that_it_synced_and_loses() {
        for (syncs, left) in [
            (Syncs::Honest, Some(b"1".to_vec())),
            (Syncs::IgnoredForFiles, Some(Vec::new())),
            (Syncs::IgnoredForDirectories, None),
        ] {
            let disk = Disk::default();
            disk.set_syncs(syncs);
            let file = create(&disk, "a").unwrap();
            write(&disk, file, b"1").unwrap();
            sync(&disk, file).unwrap();
            sync_root(&disk).unwrap();
            disk.power_on_with_synced_only();
            assert_eq!(content(&disk, file), left, "{syncs:?}");
        }
    }
}
