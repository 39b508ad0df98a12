//! The children that are alive: signalled by their group, and their ends noticed.
//!
//! A child is known to have ended before it is reaped (`waitid` with `WNOWAIT`). In between its process id, and with it
//! the id of its group, cannot be given to anybody else. That is when what is left of the group is killed, as the end of
//! a container's first process ends the container: no stray grandchild outlives the run it belongs to, and no stranger
//! is ever hit.

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt, process::Child};

use apollo_agent_core::supervise::{Exit, RunId, StopSignal};
use nix::{
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use tokio::sync::oneshot;

/// The live children by run.
#[derive(Debug, Default)]
pub(super) struct Children {
    live: BTreeMap<RunId, LiveChild>,
}

#[derive(Debug)]
struct LiveChild {
    child: Child,
    ended: oneshot::Sender<Exit>,
}

impl Children {
    /// Takes a child. Its end will be told to the returned receiver.
    pub(super) fn add(&mut self, run: RunId, child: Child) -> oneshot::Receiver<Exit> {
        let (ended, told) = oneshot::channel();
        self.live.insert(run, LiveChild { child, ended });
        told
    }

    /// Sends a signal to the group of a run, if that is still alive.
    pub(super) fn signal(&self, run: RunId, signal: StopSignal) {
        let signal = match signal {
            StopSignal::Term => Signal::SIGTERM,
            StopSignal::Kill => Signal::SIGKILL,
        };
        if let Some(live) = self.live.get(&run) {
            signal_group(live.child.id(), signal);
        }
    }

    /// Reaps every child that has ended. To be called after each SIGCHLD, which may stand for several ends.
    pub(super) fn reap(&mut self) {
        for (_, mut live) in self.live.extract_if(.., |_, live| has_ended(live.child.id())) {
            signal_group(live.child.id(), Signal::SIGKILL);
            // Cannot block: it has ended.
            let exit = match live.child.wait() {
                Ok(status) => match (status.code(), status.signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, signal) => Exit::Signal(signal.unwrap_or_default()),
                },
                Err(error) => {
                    tracing::warn!(pid = live.child.id(), %error, "the exit code of a process is lost");
                    Exit::Code(EXIT_CODE_LOST)
                }
            };
            // The follower only goes first when the whole task ends.
            let _ = live.ended.send(exit);
        }
    }
}

/// Reported where the exit code cannot be had, such as when something else reaped the child: no program exits with it.
const EXIT_CODE_LOST: i32 = -1;

/// Whether a child has ended; it is left to be reaped.
fn has_ended(pid: u32) -> bool {
    let Some(pid) = group_id(pid) else { return false };
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(pid), flags) {
        Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR) => false,
        Ok(_) | Err(_) => true,
    }
}

/// Signals a process group. That it is gone already is no news.
pub(super) fn signal_group(group: u32, signal: Signal) {
    let Some(group) = group_id(group) else { return };
    match killpg(group, signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
        Err(error) => tracing::warn!(%group, %signal, %error, "cannot signal a process group"),
    }
}

/// A process id as the system calls take it. 0 and 1 mean "our own group" and "everybody" there, and are refused.
pub(super) fn group_id(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_and_everybody_are_never_signalled() {
        assert_eq!(group_id(0), None);
        assert_eq!(group_id(1), None);
        assert_eq!(group_id(u32::MAX), None);
        assert_eq!(group_id(2), Some(Pid::from_raw(2)));
    }
}
