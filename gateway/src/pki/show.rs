//! `pki show`: what stands in a certificate, in words.

use std::{fmt::Write, net::IpAddr};

use x509_parser::{
    extensions::{GeneralName, ParsedExtension},
    pem::Pem,
    prelude::X509Certificate,
};

use crate::listener::identity;

/// Certificates shown from one file: a chain, not a trust store.
const CERTIFICATES_MAX: usize = 16;

/// Why a file cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// No PEM certificate in the file.
    #[error("no certificate in PEM form found")]
    Nothing,
    /// Something that is not a certificate.
    #[error("certificate {number} cannot be read: {reason}")]
    Unreadable {
        /// Its position in the file, from 1.
        number: usize,
        /// What the parser said.
        reason: String,
    },
}

/// Describes every certificate of a PEM file.
pub fn describe(pem: &[u8]) -> Result<String, ShowError> {
    let mut text = String::new();
    let blocks = Pem::iter_from_buffer(pem)
        .filter_map(Result::ok)
        .filter(|block| block.label == "CERTIFICATE")
        .take(CERTIFICATES_MAX);
    for (index, block) in blocks.enumerate() {
        let number = index + 1;
        let certificate = block.parse_x509().map_err(|error| ShowError::Unreadable {
            number,
            reason: error.to_string(),
        })?;
        if number > 1 {
            text.push('\n');
        }
        one(&mut text, &block.contents, &certificate);
    }
    if text.is_empty() {
        Err(ShowError::Nothing)
    } else {
        Ok(text)
    }
}

fn one(text: &mut String, der: &[u8], certificate: &X509Certificate) {
    let time = |at: i64| apollo_wire::UnixMillis::saturating(at.saturating_mul(1000)).to_string();
    let (begin, end) = (
        certificate.validity.not_before.timestamp(),
        certificate.validity.not_after.timestamp(),
    );
    let device = match identity::from_certificate(der) {
        Ok(identity) => identity.device.to_string(),
        Err(_) => "none".to_owned(),
    };
    let lines = [
        ("subject", certificate.subject().to_string()),
        ("issuer", certificate.issuer().to_string()),
        ("names", alternative_names(certificate).join(", ")),
        ("valid from", time(begin)),
        ("valid until", time(end)),
        (
            "authority",
            if certificate.is_ca() { "yes" } else { "no" }.to_owned(),
        ),
        ("device", device),
        ("size", format!("{} bytes", der.len())),
    ];
    for (label, value) in lines {
        let value = if value.is_empty() {
            "none".to_owned()
        } else {
            value
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label:<12} {value}");
    }
}

fn alternative_names(certificate: &X509Certificate) -> Vec<String> {
    let mut names = Vec::new();
    for extension in certificate.extensions() {
        let ParsedExtension::SubjectAlternativeName(san) = extension.parsed_extension() else {
            continue;
        };
        names.extend(san.general_names.iter().map(|name| match name {
            GeneralName::DNSName(name) => format!("DNS:{}", name.escape_debug()),
            GeneralName::URI(uri) => format!("URI:{}", uri.escape_debug()),
            GeneralName::IPAddress(octets) => format!("IP:{}", address(octets)),
            other => other.to_string(),
        }));
    }
    names
}

fn address(octets: &[u8]) -> String {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return IpAddr::from(four).to_string();
    }
    match <[u8; 16]>::try_from(octets) {
        Ok(sixteen) => IpAddr::from(sixteen).to_string(),
        Err(_) => format!("{octets:02x?}"),
    }
}
