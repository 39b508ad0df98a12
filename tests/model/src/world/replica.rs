//! A replica of the gateway: at most one report in work, advanced one store step at a time.

use apollo_gateway_core::{
    exchange::{Concluded, Exchange},
    machine::{Machine, Step},
    policy::Policy,
    store::{StoreReply, StoreRequest},
};
use apollo_wire::{DeviceName, Report};

use super::store::Snapshot;
use crate::cast;

/// A replica.
#[derive(Debug, Clone, Hash, Default)]
pub struct Replica {
    /// What it works on.
    pub serving: Option<Serving>,
    /// What its watch cache shows, where it lags.
    pub cache: Option<Box<Snapshot>>,
}

/// A report in work.
#[derive(Debug, Clone, Hash)]
pub struct Serving {
    /// Which agent sent it.
    pub from: usize,
    /// Whether that agent listens to the answer.
    pub awaited: bool,
    /// The report as it came.
    pub report: Report,
    /// The real machine.
    pub exchange: Exchange,
    /// What it asks of the store next.
    pub request: StoreRequest,
    /// Its write is in the queue.
    pub queued: bool,
    /// Some process was bound elsewhere meanwhile.
    pub rebound: bool,
    /// The device was blocked when it was looked at.
    pub blocked: bool,
    /// Something of it has been written.
    pub wrote: bool,
    /// Some compare-and-swap of it was lost.
    pub lost_swap: bool,
}

impl Serving {
    /// Begins to work on a report. All exchanges share one seed: it spreads pauses, and pauses take no time here.
    pub fn begin(
        from: usize,
        awaited: bool,
        device: DeviceName,
        report: Report,
        policy: Policy,
    ) -> Option<Self> {
        let mut exchange = Exchange::new(device, report.clone(), cast::now(), policy, 1);
        match exchange.start() {
            Step::Request(request) => Some(Self {
                from,
                awaited,
                report,
                exchange,
                request,
                queued: false,
                rebound: false,
                blocked: false,
                wrote: false,
                lost_swap: false,
            }),
            Step::Pause(_) | Step::Done(_) => None,
        }
    }

    /// Hands the store's answer over. Returns the end, if it has come. A pause is over at once: what it is for, letting
    /// others go first, is what the other steps do.
    pub fn advance(&mut self, reply: StoreReply) -> Option<Concluded> {
        let mut step = self.exchange.on_reply(reply);
        loop {
            step = match step {
                Step::Request(request) => {
                    self.request = request;
                    return None;
                }
                Step::Pause(_) => self.exchange.on_pause_over(),
                Step::Done(concluded) => return Some(concluded),
            }
        }
    }
}
