//! What went over the link.

use std::{io::Write, path::Path};

use serde::{Deserialize, Serialize};

use super::IP_UDP_HEADER_BYTES;

/// Both directions of a link. Its JSON form is what `--json-stats` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Towards the server.
    pub up: Counts,
    /// Towards the clients.
    pub down: Counts,
    /// Times a flow got a new source address.
    pub rebinds: u64,
    /// Mappings made: one per client address, and one more for each that went on after a rebind.
    pub flows: u64,
}

/// One direction of a link. The first three count what senders put on the link, as a metered link bills it: whatever
/// happens to a datagram afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Datagrams sent.
    pub datagrams: u64,
    /// Their UDP payload, bytes.
    pub udp_bytes: u64,
    /// Their size as IPv4 packets, bytes: payload plus 28 each.
    pub ip_bytes: u64,
    /// Datagrams delivered, copies included.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost because the link was dark.
    pub dark: u64,
    /// Dropped because a queue was full.
    pub queue_full: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Held back so that later ones overtook them.
    pub reordered: u64,
}

impl Stats {
    /// IP bytes of both directions.
    pub fn ip_bytes(&self) -> u64 {
        self.up.ip_bytes + self.down.ip_bytes
    }

    /// Writes the JSON form beside `path` and renames it into place, so that a reader never sees half of it.
    pub fn write_to(&self, path: &Path) -> anyhow::Result<()> {
        let partial = path.with_extension("partial");
        let mut file = std::fs::File::create(&partial)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        Ok(std::fs::rename(partial, path)?)
    }
}

impl Counts {
    /// Counts a datagram put on the link.
    pub(super) fn sent(&mut self, payload_bytes: u64) {
        self.datagrams += 1;
        self.udp_bytes += payload_bytes;
        self.ip_bytes += payload_bytes + IP_UDP_HEADER_BYTES;
    }
}

impl std::ops::Sub for Counts {
    type Output = Self;

    /// What was counted since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            datagrams: self.datagrams - earlier.datagrams,
            udp_bytes: self.udp_bytes - earlier.udp_bytes,
            ip_bytes: self.ip_bytes - earlier.ip_bytes,
            delivered: self.delivered - earlier.delivered,
            lost: self.lost - earlier.lost,
            dark: self.dark - earlier.dark,
            queue_full: self.queue_full - earlier.queue_full,
            duplicated: self.duplicated - earlier.duplicated,
            reordered: self.reordered - earlier.reordered,
        }
    }
}

impl std::ops::Sub for Stats {
    type Output = Self;

    /// What was counted since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            up: self.up - earlier.up,
            down: self.down - earlier.down,
            rebinds: self.rebinds - earlier.rebinds,
            flows: self.flows - earlier.flows,
        }
    }
}
