//! Certificates of devices: who a gateway takes the caller for, and who the device takes itself for.

use apollo_agent::client::Identity;
use apollo_gateway::{listener::identity::from_certificate, pki};

use crate::memory::{BASE_BYTES, bounded};

/// What reading a certificate may hold for each byte of it: a name costs an enum and a slice.
const FACTOR: usize = 64;

/// A certificate, DER. Both sides read the same name from it, or both refuse it; the name is a name. And as PEM, as
/// `pki show` takes it from a file.
pub fn certificates(bytes: &[u8]) {
    let max = BASE_BYTES + FACTOR * bytes.len();
    let gateway = bounded(max, || from_certificate(bytes));
    let agent = bounded(max, || Identity::device_name(bytes));
    match (gateway, agent) {
        (Ok(identity), Ok(device)) => {
            assert_eq!(identity.device, device);
            assert_eq!(device.as_str().parse().as_ref(), Ok(&device));
            assert!(identity.check_expiry(identity.not_after).is_ok());
        }
        (Err(error), Err(problem)) => assert!(!error.to_string().is_empty() && !problem.is_empty()),
        (gateway, agent) => panic!("a gateway reads {gateway:?} where the agent reads {agent:?}"),
    }
    if let Ok(text) = bounded(max, || pki::show::describe(bytes)) {
        assert!(!text.is_empty());
    }
}
