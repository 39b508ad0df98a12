//! The disk as a FUSE file system: the kernel's requests, translated.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyWrite, Request, Session, TimeOrNow, WriteFlags,
};
use nix::mount::{MntFlags, umount2};

use crate::{
    Disk, Operation,
    disk::{Answer, Refusal, State},
    file::FileImage,
    namespace,
    tree::{Node, NodeId},
};

/// How long the kernel may remember names and attributes. All changes go through it, so for ever would do.
const REMEMBERED: Duration = Duration::from_secs(1);
/// What a file looks like to `stat`: nobody here looks at owners and modes.
const MODE: u16 = 0o755;
/// One link; hard links are refused.
const LINKS: u32 = 1;
/// Block size told to `stat`: a page.
const BLOCK_BYTES: u32 = 4096;
/// `RENAME_NOREPLACE` of rename(2).
const NO_REPLACE: u32 = 1;

/// The machine cannot mount it.
#[derive(Debug, thiserror::Error)]
#[error("cannot mount a FUSE file system on {}", directory.display())]
pub struct MountError {
    directory: PathBuf,
    #[source]
    source: std::io::Error,
}

/// A mounted disk. Dropping it unmounts; who still has files open keeps them, and gets errors.
pub struct Mounted {
    session: Option<BackgroundSession>,
    directory: PathBuf,
    disk: Disk,
}

impl Mounted {
    pub(crate) fn new(disk: Disk, directory: &Path) -> Result<Self, MountError> {
        let failed = |source| MountError {
            directory: directory.to_owned(),
            source,
        };
        namespace::make_private();
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("apollo-power".to_owned()),
            MountOption::NoAtime,
        ];
        let session = Session::new(Requests(disk.clone()), directory, &config).map_err(failed)?;
        Ok(Self {
            session: Some(session.spawn().map_err(failed)?),
            directory: directory.to_owned(),
            disk,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// The disk.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Detached, so that a file that somebody still has open is no reason to keep the mount; the session's thread
        // ends when the last one is closed, and nobody waits for that.
        let _not_mounted = umount2(&self.directory, MntFlags::MNT_DETACH);
        drop(self.session.take());
    }
}

struct Requests(Disk);

impl Requests {
    fn attributes(&self, node: u64) -> Answer<FileAttr> {
        let state = self.0.state();
        let found = state.tree()?.node(node).map(|found| attributes(node, found));
        found.ok_or(Refusal::NotFound)
    }

    fn add(&self, operation: Operation, directory: INodeNo, name: &OsStr, node: Node) -> Answer<FileAttr> {
        let attributes_of_new = attributes(0, &node);
        let id = self.0.change(
            operation,
            |_| name.to_string_lossy().into_owned(),
            |state| state.add(directory.0, name, node),
        )?;
        Ok(FileAttr {
            ino: INodeNo(id),
            ..attributes_of_new
        })
    }

    fn on_file<T>(
        &self,
        operation: Operation,
        file: INodeNo,
        work: impl FnOnce(&mut State) -> Answer<T>,
    ) -> Answer<T> {
        self.0.change(operation, |state| state.name_of(file.0), work)
    }

    fn in_directory<T>(
        &self,
        operation: Operation,
        name: &OsStr,
        work: impl FnOnce(&mut State) -> Answer<T>,
    ) -> Answer<T> {
        self.0
            .change(operation, |_| name.to_string_lossy().into_owned(), work)
    }
}

fn attributes(id: NodeId, node: &Node) -> FileAttr {
    let (kind, size) = match node {
        Node::File(image) => (FileType::RegularFile, image.live().len() as u64),
        Node::Directory { .. } => (FileType::Directory, 0),
    };
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(id),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: MODE,
        nlink: LINKS,
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

impl From<Refusal> for Errno {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoPower => Self::EIO,
            Refusal::NotFound => Self::ENOENT,
            Refusal::Exists => Self::EEXIST,
            Refusal::NotADirectory => Self::ENOTDIR,
            Refusal::IsADirectory => Self::EISDIR,
            Refusal::NotEmpty => Self::ENOTEMPTY,
            Refusal::TooLarge => Self::EFBIG,
            Refusal::OtherDirectory => Self::EXDEV,
        }
    }
}

fn empty(reply: ReplyEmpty, answer: Answer<()>) {
    match answer {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(refusal.into()),
    }
}

fn entry(reply: ReplyEntry, answer: Answer<FileAttr>) {
    match answer {
        Ok(attributes) => reply.entry(&REMEMBERED, &attributes, Generation(0)),
        Err(refusal) => reply.error(refusal.into()),
    }
}

fn offset_of(offset: u64) -> Answer<usize> {
    usize::try_from(offset).map_err(|_| Refusal::TooLarge)
}

impl Filesystem for Requests {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let find = || {
            let id = self.0.state().tree()?.find(parent.0, name);
            self.attributes(id.ok_or(Refusal::NotFound)?)
        };
        entry(reply, find());
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino.0) {
            Ok(attributes) => reply.attr(&REMEMBERED, &attributes),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || {
            if let Some(size) = size {
                let bytes = offset_of(size)?;
                self.on_file(Operation::Resize, ino, |state| state.resize(ino.0, bytes))?;
            }
            self.attributes(ino.0)
        };
        match set() {
            Ok(attributes) => reply.attr(&REMEMBERED, &attributes),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn mkdir(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        entry(
            reply,
            self.add(Operation::MakeDirectory, parent, name, Node::directory()),
        );
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.add(Operation::Create, parent, name, Node::File(FileImage::default())) {
            Ok(attributes) => {
                reply.created(
                    &REMEMBERED,
                    &attributes,
                    Generation(0),
                    FileHandle(0),
                    FopenFlags::empty(),
                );
            }
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let remove = |state: &mut State| state.remove(parent.0, name, false);
        empty(reply, self.in_directory(Operation::Remove, name, remove));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let remove = |state: &mut State| state.remove(parent.0, name, true);
        empty(reply, self.in_directory(Operation::Remove, name, remove));
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replace = flags.bits() & NO_REPLACE == 0;
        let rename = |state: &mut State| state.rename((parent.0, name), (newparent.0, newname), replace);
        empty(reply, self.in_directory(Operation::Rename, name, rename));
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = self.0.state();
        let read = || -> Answer<&[u8]> {
            let start = offset_of(offset)?;
            let content = state.tree()?.content(ino.0).ok_or(Refusal::IsADirectory)?;
            let rest = content.get(start..).unwrap_or_default();
            Ok(rest.get(..size as usize).unwrap_or(rest))
        };
        match read() {
            Ok(data) => reply.data(data),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let write = |state: &mut State| state.write(ino.0, offset_of(offset)?, data);
        match self.on_file(Operation::Write, ino, write) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let sync = |state: &mut State| state.sync_file(ino.0);
        empty(reply, self.on_file(Operation::SyncFile, ino, sync));
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let sync = |state: &mut State| state.sync_directory(ino.0);
        empty(reply, self.on_file(Operation::SyncDirectory, ino, sync));
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.0.state();
        let mut list = || -> Answer<()> {
            let tree = state.tree()?;
            let names = tree.names(ino.0).ok_or(Refusal::NotADirectory)?;
            let kind = |id: &NodeId| match tree.node(*id) {
                Some(Node::Directory { .. }) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            let rest = names.iter().skip(offset_of(offset)?);
            for ((name, id), next) in rest.zip(offset + 1..) {
                if reply.add(INodeNo(*id), next, kind(id), name) {
                    break;
                }
            }
            Ok(())
        };
        match list() {
            Ok(()) => reply.ok(),
            Err(refusal) => reply.error(refusal.into()),
        }
    }
}
