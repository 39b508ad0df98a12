//! A small certificate authority for trials and small fleets: ECDSA P-256, certificates kept small because every full
//! handshake carries them over a link where bytes cost money.
//!
//! Larger fleets bring their own: all the gateway asks is a chain to `--client-ca` and one URI SAN
//! `spiffe://TRUST-DOMAIN/device/NAME` (docs/api.md).

use std::net::IpAddr;

use apollo_wire::DeviceName;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};

pub mod files;
pub mod show;

/// The authority outlives the devices it certifies: replacing it means touching every one of them.
const CA_YEARS: i16 = 10;
/// Gateways sit where certificates are easily replaced, and are reloaded without a restart.
const GATEWAY_YEARS: i16 = 1;
/// A device may be out of reach for a season; two years leave a whole one to replace its certificate in.
const DEVICE_YEARS: i16 = 2;
/// The trust domain in device names made here. Gateways accept any.
pub const TRUST_DOMAIN: &str = "apollo";
/// Subjects' longest common name (X.520 ub-common-name); longer device names stand in the SAN alone.
const COMMON_NAME_MAX: usize = 64;
/// 64 random bits are what the CA/Browser baseline asks of a serial number; each further byte is sent in every handshake.
const SERIAL_BYTES: usize = 8;

/// A certificate and its key, PEM.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
}

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A subject alternative name is neither an IP address nor a DNS name.
    #[error("--san {san:?} is neither an IP address nor a DNS name")]
    San {
        /// What was given.
        san: String,
    },
    /// The files of the authority are not a P-256 certificate and its key.
    #[error("the authority's certificate or key cannot be used")]
    Authority(#[source] rcgen::Error),
    /// Signing failed.
    #[error("cannot make the certificate")]
    Sign(#[source] rcgen::Error),
}

/// Makes a new authority.
pub fn authority(today: jiff::civil::Date) -> Result<Issued, IssueError> {
    let mut params = blank(None, today, CA_YEARS);
    params.distinguished_name = named("Apollo CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = new_key()?;
    let certificate = params.self_signed(&key).map_err(IssueError::Sign)?;
    Ok(Issued {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    })
}

/// Makes a gateway's certificate for these DNS names and IP addresses.
pub fn gateway(authority: &Issued, sans: &[String], today: jiff::civil::Date) -> Result<Issued, IssueError> {
    // A device that lost its clock believes it is 1970, and must still be able to reach the gateway to learn the time.
    let mut params = blank(Some(EPOCH), today, GATEWAY_YEARS);
    params.distinguished_name = named("gateway");
    params.subject_alt_names = sans
        .iter()
        .map(|san| subject_alt_name(san))
        .collect::<Result<_, _>>()?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    sign(authority, &params)
}

/// Makes a device's certificate: URI SAN `spiffe://apollo/device/NAME`, for client authentication alone.
pub fn device(
    authority: &Issued,
    device: &DeviceName,
    today: jiff::civil::Date,
) -> Result<Issued, IssueError> {
    let mut params = blank(None, today, DEVICE_YEARS);
    if device.as_str().len() <= COMMON_NAME_MAX {
        params.distinguished_name = named(device.as_str());
    }
    let uri = format!("spiffe://{TRUST_DOMAIN}/device/{device}");
    params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(IssueError::Sign)?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign(authority, &params)
}

/// 1970-01-01.
const EPOCH: jiff::civil::Date = jiff::civil::Date::constant(1970, 1, 1);

/// Parameters with nothing in them but validity and a serial number: from `begin` (or the day before yesterday, so that
/// neither a time zone nor a slow clock makes it "not yet valid") for `years`.
fn blank(begin: Option<jiff::civil::Date>, today: jiff::civil::Date, years: i16) -> CertificateParams {
    let day = |date: jiff::civil::Date| {
        rcgen::date_time_ymd(
            i32::from(date.year()),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // The root's own validity also begins in 1970, for the device without a clock; leaves of devices do not.
    let ca = years == CA_YEARS;
    let begin = begin.unwrap_or(if ca {
        EPOCH
    } else {
        today.saturating_sub(jiff::Span::new().days(2))
    });
    params.not_before = day(begin);
    params.not_after = day(today.saturating_add(jiff::Span::new().years(years)));
    let mut serial: [u8; SERIAL_BYTES] = rand::random();
    // Positive and of full length, so that its encoding has no sign byte.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn subject_alt_name(san: &str) -> Result<SanType, IssueError> {
    if let Ok(address) = san.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let refused = || IssueError::San { san: san.to_owned() };
    rustls::pki_types::DnsName::try_from(san).map_err(|_| refused())?;
    Ok(SanType::DnsName(san.try_into().map_err(|_| refused())?))
}

fn new_key() -> Result<KeyPair, IssueError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IssueError::Sign)
}

fn sign(authority: &Issued, params: &CertificateParams) -> Result<Issued, IssueError> {
    let ca_key = KeyPair::from_pem(&authority.key_pem).map_err(IssueError::Authority)?;
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate_pem, ca_key).map_err(IssueError::Authority)?;
    let key = new_key()?;
    let certificate = params.signed_by(&key, &issuer).map_err(IssueError::Sign)?;
    Ok(Issued {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    })
}
