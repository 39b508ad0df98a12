//! How busy the listeners are, and what that means for a newcomer.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use apollo_gateway_core::admission::{self, Admission, AdmissionLimits, Facts};

use prometheus_client::metrics::gauge::Gauge;

use super::limits;

/// Counts connections and handshakes of all listeners.
#[derive(Debug, Clone, Default)]
pub struct Load {
    counts: Arc<Mutex<Counts>>,
    /// `apollo_gateway_connections`
    gauge: Gauge,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    handshakes: usize,
    /// Handshakes by address; an entry goes with its last handshake.
    by_address: HashMap<IpAddr, usize>,
}

/// One connection that counts: first as a handshake, then as established. Uncounted when dropped.
#[derive(Debug)]
pub struct Counted {
    load: Load,
    /// Where it came from, while its handshake lasts.
    shaking: Option<IpAddr>,
}

impl Load {
    /// Nothing yet; established connections are shown in `gauge`.
    pub fn new(gauge: Gauge) -> Self {
        Self {
            counts: Arc::default(),
            gauge,
        }
    }

    /// What to do with a newcomer; counted if it is accepted.
    pub fn decide(
        &self,
        from: IpAddr,
        address_validated: bool,
        draining: bool,
    ) -> Result<Counted, Admission> {
        let from = network(from);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let load = admission::Load {
            connections: counts.connections,
            handshakes: counts.handshakes,
            draining,
        };
        let facts = Facts {
            address_validated,
            handshakes_from_address: counts.by_address.get(&from).copied().unwrap_or(0),
        };
        let bounds = AdmissionLimits {
            connections: limits::CONNECTIONS,
            ..AdmissionLimits::default()
        };
        match admission::decide(load, facts, &bounds) {
            Admission::Accept => {
                counts.handshakes += 1;
                *counts.by_address.entry(from).or_insert(0) += 1;
                Ok(Counted {
                    load: self.clone(),
                    shaking: Some(from),
                })
            }
            other => Err(other),
        }
    }
}

impl Counted {
    /// The handshake is over: from now on it counts as a connection.
    pub fn established(&mut self) {
        let mut counts = self.load.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = self.shaking.take() {
            counts.forget_handshake(from);
            counts.connections += 1;
            self.load.gauge.inc();
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.load.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match self.shaking.take() {
            Some(from) => counts.forget_handshake(from),
            None => {
                counts.connections = counts.connections.saturating_sub(1);
                self.load.gauge.dec();
            }
        }
    }
}

impl Counts {
    fn forget_handshake(&mut self, from: IpAddr) {
        self.handshakes = self.handshakes.saturating_sub(1);
        if let Some(count) = self.by_address.get_mut(&from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_address.remove(&from);
            }
        }
    }
}

/// An IPv4 address, or the /64 an IPv6 subscriber is given.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(four) => IpAddr::V4(four),
        IpAddr::V6(six) => IpAddr::V6((u128::from(six) & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_become_connections_and_nothing_is_left_behind() {
        let load = Load::default();
        let from: IpAddr = "2001:db8::1".parse().unwrap();
        let mut counted = load.decide(from, false, false).unwrap();
        assert_eq!(
            load.counts
                .lock()
                .unwrap()
                .by_address
                .get(&"2001:db8::".parse().unwrap()),
            Some(&1)
        );
        counted.established();
        {
            let counts = load.counts.lock().unwrap();
            assert_eq!((counts.connections, counts.handshakes), (1, 0));
        }
        drop(counted);
        drop(load.decide(from, false, false).unwrap());
        let counts = load.counts.lock().unwrap();
        assert_eq!(
            (counts.connections, counts.handshakes, counts.by_address.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_drain_refuses() {
        let refused = Load::default()
            .decide("192.0.2.1".parse().unwrap(), true, true)
            .unwrap_err();
        assert_eq!(refused, Admission::Refuse);
    }
}
