//! A disk whose power can be cut: a file system in memory, mounted through FUSE, that knows which changes have been
//! synced and which have not. At the cut every request begins to fail, and of the changes that were not synced some
//! survive and some do not, as a seed decides.
//!
//! # The model
//! The strictest disk that SQLite promises to survive (<https://sqlite.org/atomiccommit.html>, "Hardware Assumptions";
//! <https://sqlite.org/psow.html>; <https://sqlite.org/wal.html>), stricter than ext4:
//!
//! - `fsync` and `fdatasync` of a file make its content and size durable, and nothing else: not its name, not other
//!   files. ("The flush or fsync will not return until all pending write operations for the file have completed.")
//! - A name (created, renamed, removed) is durable after `fsync` of its directory and not before. ext4 would keep the
//!   name of a new file that was synced; SQLite does not rely on it and syncs the directory of its journals.
//! - What was not synced survives or not, each change for itself, so in any order: within a file by sectors of
//!   [`SECTOR_BYTES`], between files, and between files and names. A sector that was being written may be torn: a
//!   beginning or an end of it is new, the rest is old (writes are assumed to be linear, not atomic).
//! - A file that was growing may have the new size without the new content; there it holds zeros or garbage ("when a
//!   file grows, the new space originally contains garbage").
//! - Bytes outside what was written do not change (powersafe overwrite, the default of SQLite on Unix since 3.7.9).
//! - A rename within a directory is atomic. Renames between directories and hard links are refused: nothing here needs
//!   them.
//!
//! What it does not model: bits that rot, writes that go elsewhere, a disk that lies about syncs (except on request:
//! [`Syncs`], to show that the tests would notice).

mod disk;
mod fate;
mod file;
mod mount;
mod namespace;
mod tree;

pub use disk::{At, Cut, Disk, Operation, Syncs};
pub use fate::Survival;
pub use mount::{MountError, Mounted};

/// What a disk writes in one piece, bytes. Real ones have 512 or 4,096; the smaller allows more ways to fail.
pub const SECTOR_BYTES: usize = 512;
