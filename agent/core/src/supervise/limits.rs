//! The bounds and waiting times of supervision, as a value so that tests can shrink them.

use std::time::Duration;

/// Every number the supervisor's decisions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most processes of one desired document that are taken; the rest of the document is left out and counted.
    pub processes: usize,
    /// Wait after the first short run.
    pub backoff_initial: Duration,
    /// Longest wait between two runs.
    pub backoff_max: Duration,
    /// A run that lived this long was healthy: the next wait starts from `backoff_initial` again.
    pub healthy_run: Duration,
    /// From this many short runs in a row on, the reason says CrashLoop instead of BackingOff.
    pub crash_loop_runs: u32,
    /// How long a document that takes a process back to an older (or an equal but different) generation is held
    /// before it is believed.
    pub stale_generation_hold: Duration,
    /// Longest time a process gets between SIGTERM and SIGKILL when the agent itself is being stopped.
    pub shutdown_grace_max: Duration,
    /// How long the additions of a document wait for a removed process after its SIGKILL.
    pub kill_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // What the wire lets one document carry.
            processes: apollo_wire::limits::DESIRED_PROCESSES,
            // Long enough that a crash at start does not spin the processor, short enough that one crash is not felt.
            backoff_initial: Duration::from_secs(1),
            // The kubelet's cap. A process that always crashes then costs about 16 runs, so 32 observations, an hour.
            backoff_max: Duration::from_secs(5 * 60),
            // Twice the cap, as the kubelet does: a process that crashes once per cap does not reset its own backoff.
            healthy_run: Duration::from_secs(10 * 60),
            // One crash is an accident, two may be; the third in a row is a pattern worth another word.
            crash_loop_runs: 3,
            // A replica that lags behind catches up within seconds. An object that was deleted and made anew between
            // two polls starts at generation 1 for good, and must not be refused for good.
            stale_generation_hold: Duration::from_secs(2 * 60),
            // Below the 90 s after which init systems kill a service that does not stop.
            shutdown_grace_max: Duration::from_secs(60),
            // A kill takes milliseconds. What lives on after this waits for a disk or a file server that may never
            // answer, and everything new must not wait with it.
            kill_wait: Duration::from_secs(30),
        }
    }
}
