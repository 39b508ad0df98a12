//! When a silent device is Connected, Sleeping or Lost (R-11's other side; DESIGN section 5).
//!
//! ```text
//!   last report          + stale_after + third        next contact + 2 thirds
//!  ──────┼───────────────────────────┼────────────────────────────┼──────────> time
//!        └──────── Connected ────────┴───────── Sleeping ─────────┴── Lost
//! ```
//! Lost begins at the later of the two marks. A third of the staleness window appears in two roles: as the
//! precision of the recorded heartbeat, which is written at most once per third (R-06), so the true last
//! report may be that much later than the recorded one; and as the grace a device gets after the time it
//! announced. With the defaults, a 60 s heartbeat and a 90 s window, both marks meet: such a device is never
//! Sleeping.

use apollo_wire::UnixMillis;

use crate::{
    object::{DeviceState, DeviceStatus},
    policy::signed_ms,
};

/// The windows that follow from one device's staleness window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    stale_after_ms: u64,
    third_ms: u64,
}

impl Windows {
    /// From the staleness window, milliseconds.
    pub fn of(stale_after_ms: u64) -> Self {
        Self {
            stale_after_ms,
            third_ms: stale_after_ms / 3,
        }
    }

    /// Silence since the recorded heartbeat after which a device is no longer Connected.
    pub fn connected_for_ms(self) -> u64 {
        self.stale_after_ms.saturating_add(self.third_ms)
    }

    /// Silence since the recorded heartbeat after which a device is Lost. Only the difference of the two
    /// recorded times counts: one gateway wrote both, so its wall clock cancels out.
    pub fn lost_after_ms(self, status: &DeviceStatus) -> u64 {
        let announced_ms = match (status.last_heartbeat_time, status.next_contact_time) {
            (Some(heartbeat), Some(next)) => u64::try_from(next.since(heartbeat)).unwrap_or(0),
            _ => return self.connected_for_ms(),
        };
        let grace_ms = self.third_ms.saturating_mul(2);
        self.connected_for_ms().max(announced_ms.saturating_add(grace_ms))
    }

    /// The state after this much silence since the recorded heartbeat. At a mark the earlier state still
    /// holds.
    pub fn state_after(self, status: &DeviceStatus, silent_ms: u64) -> DeviceState {
        if status.last_heartbeat_time.is_none() {
            DeviceState::Unknown
        } else if silent_ms <= self.connected_for_ms() {
            DeviceState::Connected
        } else if silent_ms <= self.lost_after_ms(status) {
            DeviceState::Sleeping
        } else {
            DeviceState::Lost
        }
    }

    /// Whether the recorded heartbeat is a third of the window old. A heartbeat from the future (another
    /// replica's clock is ahead) counts by its distance as well: liveness needs to see the value change.
    pub fn heartbeat_due(self, status: &DeviceStatus, now: UnixMillis) -> bool {
        status
            .last_heartbeat_time
            .is_none_or(|heartbeat| now.since(heartbeat).unsigned_abs() >= self.third_ms)
    }

    /// Whether leaving the record as it is would have this device, which reported at `now` and announced
    /// `next`, judged Lost before it is late, or not Lost more than a third of the window after it should be.
    pub fn misjudges(self, status: &DeviceStatus, now: UnixMillis, next: Option<UnixMillis>) -> bool {
        let Some(heartbeat) = status.last_heartbeat_time else {
            return true;
        };
        let recorded = heartbeat.plus(signed_ms(self.lost_after_ms(status)));
        let fresh = DeviceStatus {
            last_heartbeat_time: Some(now),
            next_contact_time: next,
            ..DeviceStatus::default()
        };
        let latest = now.plus(signed_ms(self.lost_after_ms(&fresh)));
        let third_ms = signed_ms(self.third_ms);
        recorded < latest.plus(-third_ms) || recorded > latest.plus(third_ms)
    }
}
