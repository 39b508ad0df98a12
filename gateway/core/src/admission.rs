//! Four answers to a stranger: what to do with an incoming connection, from load and facts alone.

/// How busy this gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Connections that are established.
    pub connections: usize,
    /// Handshakes under way.
    pub handshakes: usize,
    /// Serving is ending: no new connections.
    pub draining: bool,
}

/// What is known of a connection before anything was spent on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// The peer has proved that it receives at its address (RFC 9000, section 8.1): a Retry or a token.
    pub address_validated: bool,
    /// Handshakes under way from the same address (an IPv4 address, or an IPv6 /64).
    pub handshakes_from_address: usize,
}

/// Thresholds, each with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Most connections. An idle one costs about 60 KiB here; devices keep theirs for hours.
    pub connections: usize,
    /// Handshakes under way from which on an address must be validated first. A Retry costs a device one
    /// round trip and some 1.6 kB, so it is asked for only under load.
    pub validate_from_handshakes: usize,
    /// Most handshakes under way: each is a signature and a certificate check, about a millisecond of one
    /// core.
    pub handshakes: usize,
    /// Most handshakes under way from one address that has been validated. Whole fleets sit behind one
    /// carrier NAT.
    pub handshakes_from_address: usize,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            connections: 50_000,
            validate_from_handshakes: 256,
            handshakes: 2_048,
            handshakes_from_address: 512,
        }
    }
}

/// What to do with an incoming connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Admission {
    /// Go on with the handshake.
    Accept,
    /// Ask the peer to prove its address first (a Retry packet).
    Retry,
    /// Say no, cheaply (`CONNECTION_REFUSED`): an honest device tries again later, or another replica.
    Refuse,
    /// Say nothing: an answer would only help an attack on whoever owns the address.
    Ignore,
}

/// Decides. Refusing is an answer to an address; one that is not validated gets it only while there is no
/// load, because under load it may be the victim of a reflection, not the sender.
pub fn decide(load: Load, facts: Facts, limits: &AdmissionLimits) -> Admission {
    let full = load.connections >= limits.connections || load.handshakes >= limits.handshakes;
    let under_load = load.handshakes >= limits.validate_from_handshakes;
    match (full || load.draining, under_load, facts.address_validated) {
        (true, true, false) => Admission::Ignore,
        (true, _, _) => Admission::Refuse,
        (false, true, false) => Admission::Retry,
        (false, _, true) if facts.handshakes_from_address >= limits.handshakes_from_address => {
            Admission::Refuse
        }
        (false, _, false) if facts.handshakes_from_address >= limits.handshakes_from_address => {
            Admission::Retry
        }
        (false, _, _) => Admission::Accept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AdmissionLimits = AdmissionLimits {
        connections: 4,
        validate_from_handshakes: 2,
        handshakes: 3,
        handshakes_from_address: 2,
    };

    fn load(connections: usize, handshakes: usize) -> Load {
        Load {
            connections,
            handshakes,
            draining: false,
        }
    }

    fn decide(load: Load, address_validated: bool, handshakes_from_address: usize) -> Admission {
        super::decide(
            load,
            Facts {
                address_validated,
                handshakes_from_address,
            },
            &LIMITS,
        )
    }

    #[test]
    fn each_threshold_holds_at_the_limit_and_not_one_below() {
        assert_eq!(decide(load(3, 1), false, 0), Admission::Accept);
        assert_eq!(decide(load(4, 1), false, 0), Admission::Refuse);
        assert_eq!(decide(load(3, 2), false, 0), Admission::Retry);
        assert_eq!(decide(load(3, 2), true, 0), Admission::Accept);
        assert_eq!(decide(load(3, 3), true, 0), Admission::Refuse);
        assert_eq!(decide(load(3, 3), false, 0), Admission::Ignore);
        assert_eq!(decide(load(0, 1), false, 1), Admission::Accept);
        assert_eq!(decide(load(0, 1), false, 2), Admission::Retry);
        assert_eq!(decide(load(0, 1), true, 2), Admission::Refuse);
    }

    #[test]
    fn a_draining_gateway_accepts_nobody() {
        let draining = Load {
            draining: true,
            ..load(0, 0)
        };
        assert_eq!(decide(draining, true, 0), Admission::Refuse);
        assert_eq!(decide(draining, false, 0), Admission::Refuse);
    }
}
