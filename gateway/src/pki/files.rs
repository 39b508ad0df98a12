//! Keys and certificates on disk: never overwritten, keys readable by their owner alone from the moment they exist.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::Issued;

/// Only the owner reads keys.
const KEY_MODE: u32 = 0o600;
/// Certificates are public.
const CERTIFICATE_MODE: u32 = 0o644;

/// Why files could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing is ever overwritten.
    #[error("{path} exists already and is never overwritten; remove it first if it is no longer needed")]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// `DIR/NAME.pem` and `DIR/NAME.key`.
pub fn paths(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")))
}

/// Fails if any of these names is taken: checked before anything is made, so that nothing is half done.
pub fn ensure_free(dir: &Path, names: &[&str]) -> Result<(), FileError> {
    for name in names {
        let (certificate, key) = paths(dir, name);
        for path in [certificate, key] {
            // A dangling link counts as taken too.
            if path.symlink_metadata().is_ok() {
                return Err(FileError::Exists { path });
            }
        }
    }
    Ok(())
}

/// Makes the directory if it is missing.
pub fn ensure_directory(dir: &Path) -> Result<(), FileError> {
    fs::create_dir_all(dir).map_err(|source| io_error("create", dir, source))
}

/// Writes a certificate and its key, the key first: a certificate without a key would look finished.
pub fn write(dir: &Path, name: &str, issued: &Issued) -> Result<(), FileError> {
    let (certificate, key) = paths(dir, name);
    create(&key, KEY_MODE, &issued.key_pem)?;
    create(&certificate, CERTIFICATE_MODE, &issued.certificate_pem)
}

/// Reads a certificate and its key.
pub fn read(dir: &Path, name: &str) -> Result<Issued, FileError> {
    let (certificate, key) = paths(dir, name);
    let text = |path: &Path| fs::read_to_string(path).map_err(|source| io_error("read", path, source));
    Ok(Issued {
        certificate_pem: text(&certificate)?,
        key_pem: text(&key)?,
    })
}

fn create(path: &Path, mode: u32, content: &str) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists {
                path: path.to_owned(),
            },
            _ => io_error("create", path, source),
        })?;
    file.write_all(content.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|source| io_error("write", path, source))
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> FileError {
    FileError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
