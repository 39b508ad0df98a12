//! PEM files as bytes, and what they hold. Errors name the flag and the file.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::config::TlsFiles;

/// Larger than any chain or bundle of authorities; guards against naming the wrong file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The contents of the three files at one moment.
#[derive(Clone, PartialEq, Eq)]
pub struct Material {
    /// Where they were read from.
    pub paths: TlsFiles,
    certificate: Vec<u8>,
    key: Vec<u8>,
    /// The authorities' file: sessions live as long as it stays the same.
    pub(super) client_ca: Vec<u8>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// It cannot be read.
    #[error("{flag} {path}: cannot be read")]
    Read {
        /// The flag that named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not hold what it should.
    #[error("{flag} {path}: expected {expected} in PEM form")]
    Content {
        /// The flag that named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What belongs there.
        expected: &'static str,
    },
}

impl Material {
    /// Reads the files. Blocks: call it where that is allowed.
    pub fn read(paths: &TlsFiles) -> Result<Self, TlsFileError> {
        Ok(Self {
            certificate: read("--tls-cert", &paths.certificate)?,
            key: read("--tls-key", &paths.key)?,
            client_ca: read("--client-ca", &paths.client_ca)?,
            paths: paths.clone(),
        })
    }

    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
        certificates(&self.certificate).ok_or_else(|| TlsFileError::Content {
            flag: "--tls-cert",
            path: self.paths.certificate.clone(),
            expected: "the gateway's certificate, followed by any intermediates,",
        })
    }

    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsFileError> {
        PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsFileError::Content {
            flag: "--tls-key",
            path: self.paths.key.clone(),
            expected: "the gateway's private key",
        })
    }

    pub(super) fn roots(&self) -> Result<RootCertStore, TlsFileError> {
        let refused = || TlsFileError::Content {
            flag: "--client-ca",
            path: self.paths.client_ca.clone(),
            expected: "the certificates of the devices' authorities",
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.client_ca).ok_or_else(refused)? {
            roots.add(certificate).map_err(|_| refused())?;
        }
        Ok(roots)
    }
}

/// All certificates; none if there is none or one cannot be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, TlsFileError> {
    let failed = |source| TlsFileError::Read {
        flag,
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(io::Error::other(format!(
            "it is larger than {FILE_BYTES_MAX} bytes"
        ))));
    }
    Ok(bytes)
}
