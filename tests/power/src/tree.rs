//! Directories and names: which are durable, which are only seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
};

use crate::{fate::Fates, file::FileImage};

/// Number of a file or directory; never used again for another one while the disk is mounted.
pub(crate) type NodeId = u64;
/// The root directory, as FUSE numbers it.
pub(crate) const ROOT: NodeId = 1;

pub(crate) type Names = BTreeMap<OsString, NodeId>;

/// A file or a directory.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    File(FileImage),
    Directory { durable: Names, live: Names },
}

/// A change of names within one directory.
#[derive(Debug, Clone)]
struct Change {
    directory: NodeId,
    removed: Option<OsString>,
    added: Option<(OsString, NodeId)>,
}

/// Everything on the disk.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
    unsynced: Vec<Change>,
}

impl Node {
    pub(crate) fn directory() -> Self {
        let (durable, live) = Default::default();
        Self::Directory { durable, live }
    }
}

impl Tree {
    /// An empty root directory.
    pub(crate) fn new() -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::directory())]),
            next: ROOT + 1,
            unsynced: Vec::new(),
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    pub(crate) fn file(&mut self, id: NodeId) -> Option<&mut FileImage> {
        match self.nodes.get_mut(&id) {
            Some(Node::File(image)) => Some(image),
            _ => None,
        }
    }

    /// The names in a directory, as they are seen.
    pub(crate) fn names(&self, directory: NodeId) -> Option<&Names> {
        match self.nodes.get(&directory) {
            Some(Node::Directory { live, .. }) => Some(live),
            _ => None,
        }
    }

    /// The content of a file, as it is seen.
    pub(crate) fn content(&self, id: NodeId) -> Option<&[u8]> {
        match self.nodes.get(&id) {
            Some(Node::File(image)) => Some(image.live()),
            _ => None,
        }
    }

    /// What a name stands for, as it is seen.
    pub(crate) fn find(&self, directory: NodeId, name: &OsStr) -> Option<NodeId> {
        self.names(directory)?.get(name).copied()
    }

    /// Some name of a node, as it is seen; `?` for a file that has none any more.
    pub(crate) fn name_of(&self, id: NodeId) -> String {
        let directories = self.nodes.keys().filter_map(|id| self.names(*id));
        let found = directories.flatten().find(|(_, node)| **node == id);
        match found {
            Some((name, _)) => name.to_string_lossy().into_owned(),
            None if id == ROOT => "/".to_owned(),
            None => "?".to_owned(),
        }
    }

    /// Unsynced changes by file name, those of names under `names`.
    pub(crate) fn unsynced(&self) -> BTreeMap<String, usize> {
        let files = self.nodes.iter().filter_map(|(id, node)| match node {
            Node::File(image) if image.unsynced() > 0 => Some((self.name_of(*id), image.unsynced())),
            _ => None,
        });
        let mut all: BTreeMap<_, _> = files.collect();
        if !self.unsynced.is_empty() {
            all.insert("names".to_owned(), self.unsynced.len());
        }
        all
    }

    /// Adds a file or directory; a file that had the name loses it.
    pub(crate) fn add(&mut self, directory: NodeId, name: &OsStr, node: Node) -> NodeId {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        self.change(Change {
            directory,
            removed: None,
            added: Some((name.to_owned(), id)),
        });
        id
    }

    /// Removes a name. The file lives on for those who have it open.
    pub(crate) fn remove(&mut self, directory: NodeId, name: &OsStr) {
        self.change(Change {
            directory,
            removed: Some(name.to_owned()),
            added: None,
        });
    }

    /// Gives a node another name in the same directory.
    pub(crate) fn rename(&mut self, directory: NodeId, from: &OsStr, to: &OsStr) {
        let Some(id) = self.find(directory, from) else {
            return;
        };
        self.change(Change {
            directory,
            removed: Some(from.to_owned()),
            added: Some((to.to_owned(), id)),
        });
    }

    /// The names in a directory become durable.
    pub(crate) fn sync_names(&mut self, directory: NodeId) {
        let (these, others) = std::mem::take(&mut self.unsynced)
            .into_iter()
            .partition(|change| change.directory == directory);
        self.unsynced = others;
        let these: Vec<Change> = these;
        for change in these {
            self.make_durable(change);
        }
    }

    /// The power goes: only what `fates` spares is left, and what no name leads to is gone.
    pub(crate) fn survive(&mut self, fates: &mut Fates<'_>) {
        for node in self.nodes.values_mut() {
            if let Node::File(image) = node {
                fates.next();
                image.survive(fates);
            }
        }
        fates.next();
        for change in std::mem::take(&mut self.unsynced) {
            if fates.name() {
                self.make_durable(change);
            }
        }
        for node in self.nodes.values_mut() {
            if let Node::Directory { durable, live } = node {
                live.clone_from(durable);
            }
        }
        self.forget_what_has_no_name();
    }

    fn change(&mut self, change: Change) {
        if let Some(Node::Directory { live, .. }) = self.nodes.get_mut(&change.directory) {
            apply(live, change.clone());
            self.unsynced.push(change);
        }
    }

    fn make_durable(&mut self, change: Change) {
        if let Some(Node::Directory { durable, .. }) = self.nodes.get_mut(&change.directory) {
            apply(durable, change);
        }
    }

    fn forget_what_has_no_name(&mut self) {
        let (mut reached, mut left) = (BTreeSet::new(), vec![ROOT]);
        while let Some(id) = left.pop() {
            if reached.insert(id) {
                left.extend(self.names(id).into_iter().flatten().map(|(_, node)| *node));
            }
        }
        self.nodes.retain(|id, _| reached.contains(id));
    }
}

fn apply(names: &mut Names, change: Change) {
    if let Some(removed) = change.removed {
        names.remove(&removed);
    }
    if let Some((name, node)) = change.added {
        names.insert(name, node);
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn name(name: &str) -> &OsStr {
        OsStr::new(name)
    }

    /// A tree with `/kept`, whose content and name are synced.
    fn tree() -> Tree {
        let mut tree = Tree::new();
        let kept = tree.add(ROOT, name("kept"), Node::File(FileImage::default()));
        tree.file(kept).unwrap().write(0, b"kept");
        tree.file(kept).unwrap().sync();
        tree.sync_names(ROOT);
        tree
    }

    fn cut(tree: &mut Tree, seed: u64, share: Option<f64>) -> Vec<String> {
        let mut rng = StdRng::seed_from_u64(seed);
        tree.survive(&mut Fates::new(&mut rng, share));
        let names = tree.names(ROOT).unwrap().keys();
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_name_is_durable_after_a_sync_of_its_directory_and_not_of_its_file() {
        let mut tree = tree();
        let new = tree.add(ROOT, name("new"), Node::File(FileImage::default()));
        tree.file(new).unwrap().write(0, b"synced");
        tree.file(new).unwrap().sync();
        assert_eq!(cut(&mut tree, 0, Some(0.0)), ["kept"]);
        assert!(tree.node(new).is_none(), "what has no name is gone");
    }

    #[test]
    fn what_is_in_a_directory_goes_with_its_name() {
        let mut tree = tree();
        let outer = tree.add(ROOT, name("outer"), Node::directory());
        let inner = tree.add(outer, name("inner"), Node::directory());
        tree.sync_names(outer);
        assert_eq!(cut(&mut tree, 0, Some(0.0)), ["kept"]);
        assert!(tree.node(inner).is_none());
    }

    #[test]
    fn a_file_whose_removal_was_not_synced_is_back_with_its_content() {
        let mut tree = tree();
        let kept = tree.find(ROOT, name("kept")).unwrap();
        tree.remove(ROOT, name("kept"));
        assert_eq!(tree.content(kept), Some(&b"kept"[..]), "who has it open keeps it");
        assert_eq!(cut(&mut tree, 0, Some(0.0)), ["kept"]);
        assert_eq!(tree.content(kept), Some(&b"kept"[..]));
    }

    #[test]
    fn a_rename_happens_or_not_and_both_are_met() {
        let mut met = BTreeSet::new();
        for seed in 0..50 {
            let mut tree = tree();
            tree.rename(ROOT, name("kept"), name("renamed"));
            met.extend(cut(&mut tree, seed, None));
            assert_eq!(tree.names(ROOT).unwrap().len(), 1, "one name, never none or two");
        }
        assert_eq!(met.len(), 2);
    }
}
