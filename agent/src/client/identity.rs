//! The device's identity: its key, its certificate with its name in it, and the authority it trusts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use apollo_wire::DeviceName;
use rustls::{
    RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The files of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// PEM certificates of the authority that gateways are verified against (`--ca`).
    pub ca: PathBuf,
    /// PEM certificate chain of the device, its own certificate first (`--cert`).
    pub cert: PathBuf,
    /// PEM private key of the device (`--key`).
    pub key: PathBuf,
}

/// An identity as loaded: who this device is, and the TLS configuration that proves it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The name in the certificate.
    pub device: DeviceName,
    /// One for the life of the process: session tickets live in it, and early data depends on it.
    pub(super) tls: Arc<rustls::ClientConfig>,
}

/// An identity that cannot be used. Says which flag and which file.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read, or holds no PEM item of the kind it should.
    #[error("{flag} {}: cannot read {expected} in PEM form from it", path.display())]
    Unreadable {
        /// The flag that named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What belongs there.
        expected: &'static str,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A certificate that is none, or that TLS refuses.
    #[error("{flag} {}: {problem}", path.display())]
    Unusable {
        /// The flag that named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key do not belong together, or the key is of a kind TLS cannot use.
    #[error("--cert {} and --key {} cannot be used together", cert.display(), key.display())]
    Mismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

impl Identity {
    /// The device's name in its certificate, DER, read as a gateway does: exactly one URI name has to name a device.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn device_name(certificate: &[u8]) -> Result<DeviceName, String> {
        let (_, certificate) =
            X509Certificate::from_der(certificate).map_err(|_| "it is no X.509 certificate")?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| "its subject alternative names cannot be read")?
            .map_or(&[][..], |extension| &extension.value.general_names);
        let uris = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => DeviceName::in_uri(uri),
            _ => None,
        });
        let devices: Vec<&str> = uris.collect();
        let [name] = devices.as_slice() else {
            return Err(format!(
                "it names {} devices: expected exactly one URI name spiffe://TRUST-DOMAIN/device/NAME",
                devices.len()
            ));
        };
        name.parse()
            .map_err(|error: apollo_wire::NameError| error.to_string())
    }

    /// Loads and checks the files.
    ///
    /// # Errors
    /// The first file that cannot be used, by flag and path.
    pub fn load(files: &IdentityFiles) -> Result<Self, IdentityError> {
        let roots = load_roots(&files.ca)?;
        let chain = load_certificates("--cert", &files.cert)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| IdentityError::Unreadable {
            flag: "--key",
            path: files.key.clone(),
            expected: "a private key",
            source,
        })?;
        let leaf = chain.first().map_or(&[][..], |certificate| certificate);
        let device = Self::device_name(leaf).map_err(|problem| IdentityError::Unusable {
            flag: "--cert",
            path: files.cert.clone(),
            problem,
        })?;
        let unusable = |source| IdentityError::Mismatch {
            cert: files.cert.clone(),
            key: files.key.clone(),
            source,
        };
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(unusable)?;
        tls.alpn_protocols = vec![b"h3".to_vec()];
        // Reports and polls may be repeated without harm (DESIGN section 3), so they may ride in the first flight.
        tls.enable_early_data = true;
        Ok(Self {
            device,
            tls: Arc::new(tls),
        })
    }
}

/// The one provider of the whole tree, with X25519 alone: post-quantum key exchange costs 2.5 kB per connection.
fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    }
}

fn load_certificates(flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let failed = |source| IdentityError::Unreadable {
        flag,
        path: path.to_owned(),
        expected: "certificates",
        source,
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    if certificates.is_empty() {
        return Err(failed(pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn load_roots(path: &Path) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for certificate in load_certificates("--ca", path)? {
        roots.add(certificate).map_err(|error| IdentityError::Unusable {
            flag: "--ca",
            path: path.to_owned(),
            problem: format!("it cannot be trusted as an authority: {error}"),
        })?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    /// What the agent takes itself for by a certificate with these URIs.
    fn named_by(uris: &[&str]) -> Result<String, String> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()))
            .collect();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Identity::device_name(certificate.der()).map(|device| device.to_string())
    }

    #[test]
    fn the_name_is_that_of_the_one_uri_that_names_a_device() {
        assert_eq!(
            named_by(&["https://a", "spiffe://t/device/buoy-17"]),
            Ok("buoy-17".to_owned())
        );
    }

    #[test]
    fn a_certificate_that_no_gateway_would_take_is_refused_at_once() {
        for (uris, word) in [
            (&[][..], "names 0 devices"),
            (&["spiffe://t/device/a", "spiffe://t/device/b"], "names 2 devices"),
            // The path has to begin with /device/, right behind the trust domain.
            (&["spiffe://t/x/device/a"], "names 0 devices"),
            (&["spiffe:///device/a"], "names 0 devices"),
            (&["spiffe://t/device/A"], "DNS-1123"),
        ] {
            let problem = named_by(uris).unwrap_err();
            assert!(problem.contains(word), "{uris:?}: {problem}");
        }
        assert!(Identity::device_name(b"nonsense").is_err());
    }
}
