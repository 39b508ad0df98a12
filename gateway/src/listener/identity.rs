//! Who is calling: the device's name, from the leaf certificate's URI SAN and from nowhere else.

use apollo_wire::{DeviceName, UnixMillis};
use rustls::pki_types::CertificateDer;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

/// What a certificate says about its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The device.
    pub device: DeviceName,
    /// The certificate's end of validity. A resumed session does not check it again, so every request does.
    pub not_after: UnixMillis,
}

/// Why a caller is nobody (401).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No certificate was sent (yet).
    #[error("no client certificate")]
    NoCertificate,
    /// The certificate cannot be read.
    #[error("the client certificate cannot be read")]
    Unreadable,
    /// Not exactly one SAN names a device.
    #[error(
        "the client certificate has {found} URI SANs spiffe://TRUST-DOMAIN/device/NAME, expected exactly one"
    )]
    DeviceNames {
        /// How many it has.
        found: usize,
    },
    /// The device's name is not a DNS-1123 subdomain.
    #[error("the device name in the client certificate is refused: {0}")]
    Name(#[source] apollo_wire::NameError),
    /// The certificate's time is over.
    #[error("the client certificate expired at {not_after}")]
    Expired {
        /// When.
        not_after: UnixMillis,
    },
    /// The devices' authority has changed and no longer stands for this certificate.
    #[error("the client certificate is not from an authority this gateway trusts now")]
    Untrusted,
}

impl Identity {
    /// Fails once the certificate's validity is over.
    pub fn check_expiry(&self, now: UnixMillis) -> Result<(), IdentityError> {
        if now > self.not_after {
            return Err(IdentityError::Expired {
                not_after: self.not_after,
            });
        }
        Ok(())
    }
}

/// The certificates a connection's peer has proven to hold, leaf first.
pub fn peer_chain(connection: &quinn::Connection) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let identity = connection.peer_identity().ok_or(IdentityError::NoCertificate)?;
    let chain = identity
        .downcast::<Vec<CertificateDer<'static>>>()
        .map_err(|_| IdentityError::NoCertificate)?;
    if chain.is_empty() {
        Err(IdentityError::NoCertificate)
    } else {
        Ok(*chain)
    }
}

/// Reads the identity out of a leaf certificate, DER.
pub fn from_certificate(leaf: &[u8]) -> Result<Identity, IdentityError> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| IdentityError::Unreadable)?;
    let names = device_names(&certificate)?;
    let [name] = names.as_slice() else {
        return Err(IdentityError::DeviceNames { found: names.len() });
    };
    Ok(Identity {
        device: name.parse().map_err(IdentityError::Name)?,
        // The validity includes its last second (RFC 5280, section 4.1.2.5).
        not_after: UnixMillis::saturating(
            certificate.validity.not_after.timestamp().saturating_mul(1000) + 999,
        ),
    })
}

/// The NAMEs of all URI SANs of the form `spiffe://TRUST-DOMAIN/device/NAME`. A second SAN extension makes the certificate
/// unreadable: there must not be one (RFC 5280, section 4.2), and readers would not agree on whose it is.
fn device_names<'a>(certificate: &'a X509Certificate<'_>) -> Result<Vec<&'a str>, IdentityError> {
    let extension = certificate
        .subject_alternative_name()
        .map_err(|_| IdentityError::Unreadable)?;
    let names = extension.map_or(&[][..], |extension| &extension.value.general_names);
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => DeviceName::in_uri(uri),
        _ => None,
    });
    Ok(uris.collect())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};

    use super::*;

    fn leaf(sans: &[SanType]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = sans.to_vec();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    #[test]
    fn the_name_is_taken_from_the_one_device_san() {
        let other = uri("spiffe://fleet.example/gateway/g");
        let dns = SanType::DnsName("buoy-18".try_into().unwrap());
        let identity =
            from_certificate(&leaf(&[dns, other, uri("spiffe://any.domain/device/buoy-17")])).unwrap();
        assert_eq!(identity.device.as_str(), "buoy-17");
        assert_eq!(identity.not_after.to_string(), "2030-01-01T00:00:00.999Z");
    }

    #[test]
    fn none_several_or_bad_names_are_nobody() {
        let device = |name: &str| uri(&format!("spiffe://apollo/device/{name}"));
        let refused = |sans: &[SanType]| from_certificate(&leaf(sans)).unwrap_err();
        assert_eq!(refused(&[]), IdentityError::DeviceNames { found: 0 });
        assert_eq!(
            refused(&[device("a"), device("b")]),
            IdentityError::DeviceNames { found: 2 }
        );
        for text in [
            "https://apollo/device/a",
            "spiffe:///device/a",
            "spiffe://apollo/devices/a",
            "spiffe://apollo",
        ] {
            assert_eq!(
                refused(&[uri(text)]),
                IdentityError::DeviceNames { found: 0 },
                "{text}"
            );
        }
        for name in ["", "A", "a/b", "a_b", "-a"] {
            assert!(
                matches!(refused(&[device(name)]), IdentityError::Name(_)),
                "{name}"
            );
        }
        assert_eq!(from_certificate(b"\x30\x03abc"), Err(IdentityError::Unreadable));
    }

    #[test]
    fn a_second_san_extension_makes_a_certificate_unreadable() {
        // GeneralNames with the one URI spiffe://t/device/b.
        let mut names = vec![0x30, 21, 0x86, 19];
        names.extend(b"spiffe://t/device/b");
        let second = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
        let mut params = CertificateParams::default();
        params.custom_extensions = vec![second];
        let signed = |params: &CertificateParams| {
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            from_certificate(certificate.der())
        };
        assert_eq!(signed(&params).unwrap().device.as_str(), "b");
        params.subject_alt_names = vec![uri("spiffe://t/device/a")];
        assert_eq!(signed(&params), Err(IdentityError::Unreadable));
    }

    #[test]
    fn a_certificate_is_good_until_its_last_moment_and_not_one_past() {
        let identity = from_certificate(&leaf(&[uri("spiffe://apollo/device/a")])).unwrap();
        assert!(identity.check_expiry(identity.not_after).is_ok());
        assert!(identity.check_expiry(identity.not_after.plus(1)).is_err());
    }
}
