//! What an app checks of the hub that it connects to: who issued its certificate, and which public key it has.

use std::net::IpAddr;
use std::sync::Arc;

use base64::prelude::{Engine as _, BASE64_STANDARD};
use ring::digest::{digest, SHA256, SHA256_OUTPUT_LEN};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    verify_server_cert_signed_by_trust_anchor, verify_server_name, Resumption, UnbufferedClientConnection,
};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature, CryptoProvider};
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use super::identity::{certificates, check_dates, provider, wrong};
use super::machine::Machine;
use super::stream::TlsStream;
use crate::transport::socket::Stream;
use crate::transport::Host;
use crate::{Error, Result, Status};

/// Makes TLS connections of those that an app dialled.
#[derive(Clone, Debug)]
pub struct Connector(Arc<ClientConfig>);

impl Connector {
    /// Trusts hubs whose certificate is issued by one of those in the file `ca`, or is one of them, and whose public key
    /// has one of `pins`; at least one of the two is there. Pins are separated by commas, each as hexadecimal or base64,
    /// as `curl` has them, too: with `sha256//` before it.
    ///
    /// # Errors
    /// [`Status::NotFound`], [`Status::Permission`], [`Status::Io`]: the file cannot be read; [`Status::Tls`]: there is
    /// something wrong with what it contains; [`Status::Invalid`]: a pin is none.
    pub fn new(ca: Option<&str>, pins: Option<&str>) -> Result<Connector> {
        Connector::with(provider(), ca, pins)
    }

    pub(super) fn with(provider: Arc<CryptoProvider>, ca: Option<&str>, pins: Option<&str>) -> Result<Connector> {
        let trust = Trust {
            authorities: ca.map(Authorities::read).transpose()?,
            pins: pins.map(parse_pins).transpose()?.unwrap_or_default(),
            provider: provider.clone(),
        };
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let builder = builder.map_err(|error| Error::new(Status::Tls, error.to_string()))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(trust));
        let mut config = builder.with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Connector(Arc::new(config)))
    }

    /// Makes a TLS connection of one that was dialled, to `host`. It begins the handshake, which goes on with its
    /// reads.
    pub fn connect(&self, stream: Stream, host: &Host) -> Result<TlsStream> {
        let failed = |error: rustls::Error| Error::new(Status::Tls, error.to_string());
        let connection = UnbufferedClientConnection::new(self.0.clone(), name(host)?).map_err(failed)?;
        let mut stream = TlsStream::new(stream, Machine::app(connection));
        // An app speaks first. What the socket does not take now it takes with the first write.
        stream.begin().map(|()| stream).map_err(|error| Error::io(&error, host))
    }
}

/// What the certificate has to be for.
fn name(host: &Host) -> Result<ServerName<'static>> {
    let ip = match host {
        Host::V4(ip) => IpAddr::from(*ip),
        Host::V6(ip) => IpAddr::from(*ip),
        Host::Name(name) => match name.split_once('%').and_then(|(ip, _zone)| ip.parse().ok()) {
            Some(ip) => ip,
            None => {
                let name = DnsName::try_from(name.clone());
                let name = name.map_err(|_| Error::new(Status::Url, format!("no name of a certificate: {host}")));
                return name.map(ServerName::DnsName);
            }
        },
        Host::Any => return Err(Status::Url.into()),
    };
    Ok(ServerName::IpAddress(ip.into()))
}

/// Certificates that an app trusts.
#[derive(Debug)]
struct Authorities {
    roots: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
    file: String,
}

impl Authorities {
    fn read(file: &str) -> Result<Authorities> {
        let certificates = certificates(file)?;
        let mut roots = RootCertStore::empty();
        // Lists of the system have some that are too old to be read.
        let (known, _) = roots.add_parsable_certificates(certificates.iter().cloned());
        if known == 0 {
            return Err(wrong("no certificate that can be used", file));
        }
        Ok(Authorities { roots, certificates, file: file.to_owned() })
    }

    fn check(
        &self,
        shown: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(shown)?;
        if self.certificates.iter().any(|known| known == shown) {
            // One that has issued itself is not one of a hub by the rules for those of authorities.
            check_dates(shown, provider).map_err(other)?;
        } else {
            let algorithms = provider.signature_verification_algorithms.all;
            let verified = verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, issuers, now, algorithms);
            verified.map_err(|error| match error {
                // With a wrong signature, by one that has only the name of one of those.
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                    other(format!("the certificate is not issued by one of those in {}", self.file))
                }
                error => error,
            })?;
        }
        verify_server_name(&parsed, name)
    }
}

/// The SHA-256 of a public key, as its certificate has it.
type Pin = [u8; SHA256_OUTPUT_LEN];

fn parse_pins(text: &str) -> Result<Vec<Pin>> {
    text.split(',').map(|pin| parse_pin(pin.trim())).collect()
}

fn parse_pin(text: &str) -> Result<Pin> {
    let pin = text.strip_prefix("sha256//").unwrap_or(text);
    let digits: String = pin.chars().filter(|&c| c != ':').collect();
    let hexadecimal = || {
        let bytes = (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok());
        bytes.collect::<Option<Vec<u8>>>()
    };
    let is_hexadecimal = digits.len() == 2 * SHA256_OUTPUT_LEN && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let bytes = if is_hexadecimal { hexadecimal() } else { BASE64_STANDARD.decode(pin).ok() };
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        let text = format!("{text:?} is no pin: the SHA-256 of a public key, in base64 or hexadecimal");
        Error::new(Status::Invalid, text)
    })
}

/// What an app asks of a hub's certificate.
#[derive(Debug)]
struct Trust {
    authorities: Option<Authorities>,
    pins: Vec<Pin>,
    provider: Arc<CryptoProvider>,
}

/// An error with words of its own.
fn other(text: String) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Error::new(Status::Tls, text)))))
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(authorities) = &self.authorities {
            authorities.check(shown, issuers, name, now, &self.provider)?;
        }
        let key = ParsedCertificate::try_from(shown)?.subject_public_key_info();
        let pin = digest(&SHA256, key.as_ref());
        if !self.pins.is_empty() && !self.pins.iter().any(|known| known == pin.as_ref()) {
            let pin = BASE64_STANDARD.encode(pin);
            return Err(other(format!("the public key of the hub is not the pinned one: its pin is {pin}")));
        }
        Ok(ServerCertVerified::assertion())
    }

    // Not called: there is no TLS 1.2 here.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
