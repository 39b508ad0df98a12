//! Observations of the supervisor on their way to the disk.

use std::collections::VecDeque;

use apollo_wire::Observation;

use super::{Machine, disk::Call};
use crate::{plan::Millis, world::Context};

/// Most observations stored in one transaction.
const STORED_AT_ONCE: usize = 64;
/// Most that wait in the supervisor's channel.
pub(super) const CHANNEL: usize = 64;
/// How long to wait before storing again what the disk refused.
pub(super) const RETRY_MS: Millis = 1_000;
/// Most kept in memory while the agent is stopping and the disk refuses.
const KEPT_WHILE_STOPPING: usize = 2_000;

/// The channel and what could not be stored yet.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// In the channel.
    pub(super) channel: VecDeque<Observation>,
    /// Refused by the disk.
    pub(super) unsaved: Vec<Observation>,
    /// When to store them again.
    pub(super) retry_at_ms: Option<Millis>,
    /// The supervisor has ended, and the driver knows.
    pub(super) closed: bool,
}

impl Intake {
    /// Whether to receive more. While the disk refuses, the supervisor waits, unless it is to end.
    pub(super) fn takes_in(&self, stopping: bool) -> bool {
        let has_room = self.unsaved.len() < KEPT_WHILE_STOPPING;
        !self.closed && (self.retry_at_ms.is_none() || stopping && has_room)
    }

    /// What is received at once.
    pub(super) fn receive(&mut self) -> Vec<Observation> {
        let count = self.channel.len().min(STORED_AT_ONCE);
        self.channel.drain(..count).collect()
    }
}

impl Machine {
    pub(super) fn store(&mut self, context: &mut Context, observations: Vec<Observation>) {
        if observations.is_empty() {
            return;
        }
        if let Some(agent) = &mut self.agent {
            agent.awaits_disk = true;
        }
        self.call(context, Call::Append(observations));
    }

    pub(super) fn on_appended(&mut self, now: Millis, refused: Option<Vec<Observation>>, pending: u64) {
        let Some(agent) = &mut self.agent else { return };
        match refused {
            Some(refused) => {
                agent.intake.unsaved = refused;
                agent.intake.retry_at_ms = Some(now + RETRY_MS);
            }
            None => self.note_depth(now, pending),
        }
    }
}
