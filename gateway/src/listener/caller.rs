//! The device at the other end of one connection, checked anew for every request.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use apollo_wire::UnixMillis;

use super::identity::{self, Identity, IdentityError};
use crate::tls::reload::Current;

/// One connection's peer.
pub struct Caller {
    connection: quinn::Connection,
    tls: Current,
    /// The identity, and the authority that vouched for it.
    known: Mutex<Option<(u64, Identity)>>,
    broken_requests: AtomicU32,
}

impl Caller {
    /// The peer of `connection`.
    pub fn new(connection: quinn::Connection, tls: Current) -> Self {
        Self {
            connection,
            tls,
            known: Mutex::new(None),
            broken_requests: AtomicU32::new(0),
        }
    }

    /// Who is calling. TLS checks a certificate once, at a full handshake; connections last for days and resumed sessions
    /// skip the check, so validity is looked at for each request, and the authority when it has changed since.
    pub fn identity(&self, now: UnixMillis) -> Result<Identity, IdentityError> {
        let tls = self.tls.load();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((generation, identity)) = known.as_ref()
            && *generation == tls.authority_generation
        {
            identity.check_expiry(now)?;
            return Ok(identity.clone());
        }
        let chain = identity::peer_chain(&self.connection)?;
        let leaf = chain.first().ok_or(IdentityError::NoCertificate)?;
        let identity = identity::from_certificate(leaf)?;
        identity.check_expiry(now)?;
        if !tls.trusts(&chain, now) {
            return Err(IdentityError::Untrusted);
        }
        *known = Some((tls.authority_generation, identity.clone()));
        Ok(identity)
    }

    /// Counts a request that broke off before its headers; how many that makes.
    pub fn count_broken_request(&self) -> u32 {
        self.broken_requests
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
    }

    /// The connection.
    pub fn connection(&self) -> &quinn::Connection {
        &self.connection
    }
}
