//! What the supervisor has to say about a process.

use apollo_wire::{ProcessRef, ProcessState, SpecHash, limits};

/// An observation before it gets its sequence and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The process it is about.
    pub process: ProcessRef,
    /// Its state; `None` makes the observation history only.
    pub state: Option<ProcessState>,
    /// The spec it is about.
    pub spec_hash: Option<SpecHash>,
    /// The process id of the run it is about.
    pub pid: Option<u32>,
    /// How the run ended; 128 + N for signal N.
    pub exit_code: Option<i32>,
    /// Restarts since the supervisor learned of the spec.
    pub restarts: Option<u32>,
    /// Why, for machines.
    pub reason: Reason,
    /// Why, for people; within `limits::MESSAGE_BYTES`. Empty where the reason says it all: bytes cost money.
    pub message: String,
}

/// Why a process changed state. Machines compare these words, so none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A run started.
    Started,
    /// A run ended by itself and its restart policy asks for no other.
    Exited,
    /// A run ended and the next one waits for the backoff.
    BackingOff,
    /// The same, after several short runs in a row.
    CrashLoop,
    /// A run could not be started; the message says why.
    SpawnFailed,
    /// The spec cannot be read or run; the message names the field.
    SpecInvalid,
    /// A run was stopped because the spec changed; the new one starts next.
    Replaced,
    /// Stopped because the spec says `suspend: true`.
    Suspended,
    /// Stopped because the process is no longer desired on this device.
    Removed,
    /// Stopped because the agent is being stopped.
    AgentStopping,
    /// A run of an earlier life of the agent was found alive and stopped.
    LeftOverStopped,
    /// A run is alive long after its SIGKILL: it hangs in the kernel. Its end is reported when it comes.
    Unkillable,
    /// A document named a lower generation than the one known; it is held, not taken.
    StaleGeneration,
    /// A document named the known generation with another spec; it is held, not taken.
    GenerationConflict,
}

impl Reason {
    /// The CamelCase word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Exited => "Exited",
            Self::BackingOff => "BackingOff",
            Self::CrashLoop => "CrashLoop",
            Self::SpawnFailed => "SpawnFailed",
            Self::SpecInvalid => "SpecInvalid",
            Self::Replaced => "Replaced",
            Self::Suspended => "Suspended",
            Self::Removed => "Removed",
            Self::AgentStopping => "AgentStopping",
            Self::LeftOverStopped => "LeftOverStopped",
            Self::Unkillable => "Unkillable",
            Self::StaleGeneration => "StaleGeneration",
            Self::GenerationConflict => "GenerationConflict",
        }
    }
}

/// Cuts a message to what an observation may carry, between characters.
pub(super) fn cut_message(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(limits::MESSAGE_BYTES));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_kept_at_the_limit_and_cut_between_characters_beyond_it() {
        let at_limit = "x".repeat(limits::MESSAGE_BYTES);
        assert_eq!(cut_message(at_limit.clone()), at_limit);
        let beyond = format!("{}ä", "x".repeat(limits::MESSAGE_BYTES - 1));
        assert_eq!(cut_message(beyond).len(), limits::MESSAGE_BYTES - 1);
    }
}
