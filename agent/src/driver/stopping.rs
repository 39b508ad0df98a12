//! Ending on request, in bounded time whatever the disk, the link and the processes do.
//!
//! 1. The supervisor stops the processes; what they say at the end is stored.
//! 2. When it has ended, one last exchange is tried.
//! 3. When both are done, or the time is up, everything is closed.
//!
//! The time is up when each step has had its longest. A disk that refuses writes does not hold up step 1: what cannot be
//! stored is kept in memory meanwhile ([`super::intake`]), so that the supervisor never waits for room in its channel.

use std::time::Duration;

use apollo_agent_core::engine::Event;
use tokio::time::{Instant, timeout};

use super::{Driver, DriverError, Summary};

/// How long the last exchange may take once everything else has ended: a handshake and a round trip on a satellite
/// link. What does not get through is on disk.
const LAST_EXCHANGE: Duration = Duration::from_secs(5);
/// How long a supervisor that has had its time may still take once nobody listens to it any more. Only one that was stuck
/// gets here; what it leaves running is stopped by the next agent.
const SUPERVISOR_END: Duration = Duration::from_secs(2);

/// How far the end has come.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    /// When the driver ends, ready or not; `None` while nobody has asked for the end.
    end_by: Option<Instant>,
    /// Nobody had asked the supervisor to end.
    supervisor_lost: bool,
}

impl Stopping {
    pub(super) fn is_asked(&self) -> bool {
        self.end_by.is_some()
    }

    /// Whether the agent ends because its supervisor did: whoever started it must learn that, and start it again.
    pub(super) fn supervisor_lost(&self) -> bool {
        self.supervisor_lost
    }

    pub(super) fn end_by(&self) -> Option<Instant> {
        self.end_by
    }
}

impl Driver {
    pub(super) fn on_stop_asked(&mut self, stopping: &mut Stopping) {
        let Some(supervisor) = &self.supervisor else {
            self.begin_last_exchange(stopping);
            return;
        };
        supervisor.request_shutdown();
        stopping.end_by = Some(Instant::now() + supervisor.longest_shutdown() + LAST_EXCHANGE);
    }

    pub(super) fn on_supervisor_ended(&mut self, stopping: &mut Stopping) {
        if !stopping.is_asked() {
            tracing::error!("the supervisor has ended by itself; ending");
            stopping.supervisor_lost = true;
        }
        self.begin_last_exchange(stopping);
    }

    fn begin_last_exchange(&mut self, stopping: &mut Stopping) {
        self.tell(Event::Shutdown);
        stopping.end_by = Some(Instant::now() + LAST_EXCHANGE);
    }

    /// Stores what could not be stored before, if it can be now, and closes everything.
    pub(super) async fn close(mut self) -> Result<Summary, DriverError> {
        // First of all: a supervisor that waits for room in its channel would wait for ever.
        self.intake.close();
        if let Some(supervisor) = self.supervisor.take()
            && timeout(SUPERVISOR_END, supervisor.shutdown()).await.is_err()
        {
            tracing::error!(
                "the supervisor does not end; what it leaves running is stopped by the next agent"
            );
        }
        if let Some(exchange) = self.in_flight.take() {
            exchange.abort();
        }
        if let Some(client) = self.client.take() {
            client.close().await;
        }
        let unsaved = self.intake.take_unsaved();
        self.store(unsaved).await?;
        match self.intake.take_unsaved().len() {
            0 => {}
            lost => tracing::error!(lost, "observations are lost: the disk refused them until the end"),
        }
        self.count_traffic().await?;
        Ok(self.summary)
    }
}
