//! Where an engine stands, told apart from when and how often it got there.

use super::{
    Batch, Engine,
    state::{Shutdown, State, Wait},
};

/// All that decides what an [`Engine`] does next, except for durations. Engines of one device in equal situations answer
/// equal events with equal effects; only the numbers of their exchanges and the moments of their timers may differ.
///
/// For whoever compares engines: numbers and moments grow for ever, situations come again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Situation {
    stage: Stage,
    pending: u64,
    batch_rows: u32,
    batch: Option<Batch>,
    polled: bool,
    side_error: Option<String>,
    introduced: bool,
    renewed: bool,
    shutdown: Shutdown,
}

/// A [`State`] without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Waiting(Wait),
    Exchanging,
    Settling,
    Renewing,
    Stopped,
}

impl Engine {
    /// Where it stands. Effects not taken yet are not part of it.
    #[must_use]
    pub fn situation(&self) -> Situation {
        // Named one by one: whoever adds a field decides here whether it is part of the situation.
        let Self {
            limits: _,
            device: _,
            state,
            pending,
            effects: _,
            backoff: _,
            jitter: _,
            next_id: _,
            batch_rows,
            batch,
            last_exchange: _,
            polled,
            side_error,
            introduced,
            renewed,
            shutdown,
        } = self;
        Situation {
            stage: match *state {
                State::Waiting { wait, .. } => Stage::Waiting(wait),
                State::Exchanging { .. } => Stage::Exchanging,
                State::Settling { .. } => Stage::Settling,
                State::Renewing { .. } => Stage::Renewing,
                State::Stopped => Stage::Stopped,
            },
            pending: *pending,
            batch_rows: *batch_rows,
            batch: *batch,
            polled: *polled,
            side_error: side_error.clone(),
            introduced: *introduced,
            renewed: *renewed,
            shutdown: *shutdown,
        }
    }
}
