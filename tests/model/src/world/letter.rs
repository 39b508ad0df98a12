//! What is on its way between agents and replicas.
//!
//! Any letter may arrive next, be lost, or (a report) arrive twice. An answer belongs to the stream its report came on: once
//! its agent has given up, started anew or sent again, nobody listens to that stream any more, and the answer is as good
//! as lost. So a report knows whether it is awaited, and an answer exists only while it is.

use apollo_wire::{Report, Verdicts};

/// One message.
#[derive(Debug, Clone, Hash)]
pub enum Letter {
    /// From an agent to any replica.
    Report {
        /// Which agent sent it.
        from: usize,
        /// Whether it listens to the answer.
        awaited: bool,
        /// The report.
        report: Report,
    },
    /// To an agent.
    Answer {
        /// To whom.
        to: usize,
        /// What it says.
        answer: Answer,
    },
}

/// What a replica answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// 200, or 403 with verdicts.
    Verdicts(Verdicts),
    /// 403 without.
    Refused,
    /// 503.
    Busy,
}
