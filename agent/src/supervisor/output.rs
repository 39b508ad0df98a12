//! What children write: read from a pipe without ever making them wait for the disk's mood, and kept in bounded files.
//!
//! Per process there is `logs/NAMESPACE_NAME.log` and, once that is full, the one before it as `.log.1`.

use std::{
    fs::{self, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, PipeReader, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use apollo_agent_core::supervise::Exit;
use apollo_wire::ProcessRef;
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    sync::oneshot,
    time::{Instant, sleep_until},
};

/// A log file is put aside when it would grow beyond this, and there are two: 2 MiB per process at most. Enough for some
/// ten thousand lines, and a dozen processes fit on the smallest flash.
pub const LOG_FILE_BYTES: u64 = 1024 * 1024;
/// Longest last line that becomes the message of a failure, bytes: it travels over metered links.
pub const LAST_OUTPUT_BYTES: usize = 200;
/// What is read at once: the usual size of a pipe, so one read empties it.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long after the end of a run its output is still read, in case something that left the process group keeps the
/// pipe open. What was written before the end is already in the pipe, so this is only time to fetch it.
const DRAIN: Duration = Duration::from_millis(500);
/// Longest file name we make, bytes: below the 255 of Linux file systems with room for `.log.1`.
const FILE_NAME_BYTES: usize = 240;

/// The log file of a process. `_` is in no DNS name, so two processes never share one; a name too long for a file is cut
/// and told apart by a hash.
pub(super) fn log_path(logs: &Path, process: &ProcessRef) -> PathBuf {
    let mut name = format!("{}_{}", process.namespace(), process.name());
    if name.len() > FILE_NAME_BYTES {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        name.truncate(FILE_NAME_BYTES - 17);
        name = format!("{name}~{:016x}", hasher.finish());
    }
    logs.join(format!("{name}.log"))
}

fn rotated(path: &Path) -> PathBuf {
    path.with_added_extension("1")
}

/// Removes the log files of a process that is no longer desired here.
pub(super) fn remove_logs(logs: &Path, process: &ProcessRef) {
    let path = log_path(logs, process);
    for path in [rotated(&path), path] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot remove a log file");
            }
            _ => {}
        }
    }
}

/// Appends to a log file. The file is opened each time: it costs little beside the write, keeps the number of open files
/// down, and goes on working when somebody removes the file.
fn append(path: &Path, chunk: &[u8], file_bytes: u64) -> io::Result<()> {
    let open = || OpenOptions::new().create(true).append(true).open(path);
    let mut file = open()?;
    let length = file.metadata()?.len();
    if length > 0 && length.saturating_add(chunk.len() as u64) > file_bytes {
        fs::rename(path, rotated(path))?;
        file = open()?;
    }
    file.write_all(chunk)
}

/// The last line of what was read so far.
#[derive(Debug, Default)]
struct LastLine {
    complete: Vec<u8>,
    growing: Vec<u8>,
}

impl LastLine {
    fn push(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let room = LAST_OUTPUT_BYTES.saturating_sub(self.growing.len());
            let text = piece.trim_ascii_end();
            self.growing.extend(text.iter().take(room));
            if piece.ends_with(b"\n") && !self.growing.is_empty() {
                std::mem::swap(&mut self.complete, &mut self.growing);
                self.growing.clear();
            }
        }
    }

    /// The line as text, without control characters; `None` if nothing was written.
    fn take(self) -> Option<String> {
        let line = if self.growing.is_empty() {
            self.complete
        } else {
            self.growing
        };
        let mut text: String = String::from_utf8_lossy(&line)
            .chars()
            .filter(|character| !character.is_control())
            .collect();
        text.truncate(text.floor_char_boundary(LAST_OUTPUT_BYTES));
        (!text.is_empty()).then_some(text)
    }
}

/// Follows one run: reads its output into the log until the run has ended and the pipe is empty. Returns how it ended
/// (`None` if the sender of that is gone) and its last line.
pub(super) async fn follow(
    output: PipeReader,
    log: PathBuf,
    mut ended: oneshot::Receiver<Exit>,
) -> (Option<Exit>, Option<String>) {
    let mut last_line = LastLine::default();
    let mut exit = None;
    match pipe::Receiver::from_owned_fd(OwnedFd::from(output)) {
        Ok(mut output) => {
            let mut read_until = None;
            let mut buffer = Vec::with_capacity(CHUNK_BYTES);
            loop {
                tokio::select! {
                    // Safe to drop: a read that has not completed has taken nothing out of the pipe.
                    read = output.read_buf(&mut buffer) => match read {
                        Ok(0) => break,
                        Ok(_) => {
                            last_line.push(&buffer);
                            buffer = keep(&log, buffer).await;
                        }
                        Err(error) => {
                            tracing::warn!(log = %log.display(), %error, "cannot read the output of a process");
                            break;
                        }
                    },
                    result = &mut ended, if read_until.is_none() => {
                        exit = result.ok();
                        read_until = Some(Instant::now() + DRAIN);
                    }
                    () = sleep_until(read_until.unwrap_or_else(Instant::now)), if read_until.is_some() => break,
                }
            }
            if read_until.is_some() {
                return (exit, last_line.take());
            }
        }
        Err(error) => tracing::warn!(log = %log.display(), %error, "cannot follow the output of a process"),
    }
    (ended.await.ok().or(exit), last_line.take())
}

/// Writes a chunk to the log off the runtime's thread, and gives the buffer back empty. A chunk that cannot be written
/// (the disk is full) is dropped: a process must go on running where its log cannot.
async fn keep(log: &Path, buffer: Vec<u8>) -> Vec<u8> {
    let path = log.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        if let Err(error) = append(&path, &buffer, LOG_FILE_BYTES) {
            tracing::debug!(log = %path.display(), %error, "output dropped");
        }
        buffer
    });
    let mut buffer = written.await.unwrap_or_default();
    buffer.clear();
    buffer.reserve(CHUNK_BYTES);
    buffer
}
