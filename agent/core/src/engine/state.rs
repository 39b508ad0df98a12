//! The states of the engine and the one table of moves between them.
//!
//! ```text
//!              timer, shutdown                     full batch: on at once
//!   Waiting ───────────────────► Exchanging ◄───────────────────────┐
//!   ▲  ▲  ▲                       │  │  │ ▲ └ 413: half the batch    │
//!   │  │  └──────── failed ───────┘  │  │ │                          │
//!   │  │                  old copy   │  │ └──── renewed ── Renewing  │
//!   │  │                             │  └─────────────────────▲      │
//!   │  │                     verdicts│                               │
//!   │  │                             ▼                               │
//!   │  └────── settled ─────────── Settling ────────────────────────┘
//!   └───────── failed ──────────── Renewing
//!
//!   any ── shutdown, when the last exchange is over ──► Stopped
//! ```

use crate::time::Monotonic;

/// Names one exchange. Results that carry another one are stale and dropped (R-02).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// What a wait is for; it decides what may end it early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wait {
    /// All is well: new rows may bring the next exchange forward.
    Interval,
    /// The last attempt failed: new rows change nothing, the delay is owed to the link and to the gateway.
    Retry,
}

/// Where the engine stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A timer is armed.
    Waiting {
        /// When it fires.
        until: Monotonic,
        /// What for.
        wait: Wait,
    },
    /// A report (and perhaps a poll) is on its way.
    Exchanging {
        /// Which.
        id: ExchangeId,
    },
    /// Verdicts are being written to the queue.
    Settling {
        /// Of which exchange.
        id: ExchangeId,
    },
    /// The queue is being given a new instance (R-10).
    Renewing {
        /// The exchange whose reply asked for it.
        id: ExchangeId,
    },
    /// Nothing more will happen.
    Stopped,
}

/// What moves the engine on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Move {
    /// Begin an exchange.
    Attempt(ExchangeId),
    /// Write the verdicts down.
    Settle,
    /// Make a new instance.
    Renew,
    /// Arm (or re-arm) the timer.
    Rest {
        /// Until when.
        until: Monotonic,
        /// What for.
        wait: Wait,
    },
    /// Stop for good.
    Finish,
}

/// A move the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sync engine cannot do {step:?} in {state:?}")]
pub struct IllegalMove {
    /// Where it stood.
    pub state: State,
    /// What was asked.
    pub step: Move,
}

impl State {
    /// The table of moves.
    ///
    /// # Errors
    /// [`IllegalMove`] for a pair the table does not have.
    pub fn next(self, step: Move) -> Result<Self, IllegalMove> {
        match (self, step) {
            (Self::Stopped, _) => Err(IllegalMove { state: self, step }),
            (_, Move::Attempt(id)) => Ok(Self::Exchanging { id }),
            (_, Move::Rest { until, wait }) => Ok(Self::Waiting { until, wait }),
            (_, Move::Finish) => Ok(Self::Stopped),
            (Self::Exchanging { id }, Move::Settle) => Ok(Self::Settling { id }),
            (Self::Exchanging { id }, Move::Renew) => Ok(Self::Renewing { id }),
            (_, Move::Settle | Move::Renew) => Err(IllegalMove { state: self, step }),
        }
    }
}

/// How far the ending of the process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shutdown {
    /// Nobody asked.
    No,
    /// Asked for while an exchange was running: one more is due.
    Asked,
    /// The running exchange is the last one.
    Last,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(state: State) -> &'static str {
        match state {
            State::Waiting { .. } => "Waiting",
            State::Exchanging { .. } => "Exchanging",
            State::Settling { .. } => "Settling",
            State::Renewing { .. } => "Renewing",
            State::Stopped => "Stopped",
        }
    }

    #[test]
    fn the_whole_matrix_of_moves() {
        let id = ExchangeId(1);
        let rest = (Monotonic::ZERO, Wait::Interval);
        let states = [
            State::Waiting {
                until: rest.0,
                wait: rest.1,
            },
            State::Exchanging { id },
            State::Settling { id },
            State::Renewing { id },
            State::Stopped,
        ];
        let moves = [
            Move::Attempt(ExchangeId(2)),
            Move::Settle,
            Move::Renew,
            Move::Rest {
                until: rest.0,
                wait: rest.1,
            },
            Move::Finish,
        ];
        let mut matrix = vec!["from: Attempt, Settle, Renew, Rest, Finish".to_owned()];
        for state in states {
            let cells = moves.map(|step| state.next(step).map_or("-", kind));
            matrix.push(format!("{}: {}", kind(state), cells.join(", ")));
        }
        let expected = [
            "from: Attempt, Settle, Renew, Rest, Finish",
            "Waiting: Exchanging, -, -, Waiting, Stopped",
            "Exchanging: Exchanging, Settling, Renewing, Waiting, Stopped",
            "Settling: Exchanging, -, -, Waiting, Stopped",
            "Renewing: Exchanging, -, -, Waiting, Stopped",
            "Stopped: -, -, -, -, -",
        ];
        assert_eq!(matrix, expected);
    }

    #[test]
    fn settling_and_renewing_keep_the_exchange_they_belong_to() {
        let exchanging = State::Exchanging { id: ExchangeId(9) };
        assert_eq!(
            exchanging.next(Move::Settle),
            Ok(State::Settling { id: ExchangeId(9) })
        );
        assert_eq!(
            exchanging.next(Move::Renew),
            Ok(State::Renewing { id: ExchangeId(9) })
        );
    }
}
