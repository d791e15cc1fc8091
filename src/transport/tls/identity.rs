//! What a hub shows of itself: its certificate, and the key of it.

use std::fs;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{ring, CryptoProvider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert, UnbufferedServerConnection,
};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CertificateError, InconsistentKeys, RootCertStore, ServerConfig};

use super::machine::Machine;
use super::stream::TlsStream;
use super::words;
use crate::transport::socket::Stream;
use crate::{Error, Result, Status};

/// The cryptography of all connections.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Makes TLS connections of those that a hub accepted. A clone has the same certificate, also after a
/// [`reload`](Acceptor::reload).
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

impl Acceptor {
    /// With the certificate in the file `chain`, which may be followed by those of its issuers, and the key in the file
    /// `key`, all as PEM.
    ///
    /// # Errors
    /// [`Status::NotFound`], [`Status::Permission`], [`Status::Io`]: a file cannot be read; [`Status::Tls`]: there is
    /// something wrong with what it contains. The words name the file.
    pub fn load(chain: &str, key: &str) -> Result<Acceptor> {
        Acceptor::with(provider(), chain, key)
    }

    pub(super) fn with(provider: Arc<CryptoProvider>, chain: &str, key: &str) -> Result<Acceptor> {
        let shown = Arc::new(Shown(RwLock::new(Arc::new(read(chain, key, &provider)?))));
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let builder = builder.map_err(|error| Error::new(Status::Tls, error.to_string()))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(shown.clone());
        // An app connects seldom, and then verifies anew what it is shown.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Acceptor { config: Arc::new(config), shown })
    }

    /// Shows connections from now on what is in the files now. Those that exist are not affected.
    ///
    /// # Errors
    /// As of [`load`](Acceptor::load). Nothing changes then.
    pub fn reload(&self, chain: &str, key: &str) -> Result<()> {
        let read = read(chain, key, self.config.crypto_provider())?;
        *self.shown.0.write() = Arc::new(read);
        Ok(())
    }

    /// Shows what is in the files, however bad it is.
    #[cfg(test)]
    pub(super) fn show_anything(&self, chain: &str, key: &str) {
        let private = PrivateKeyDer::from_pem_slice(&bytes(key).unwrap()).unwrap();
        let read = CertifiedKey::from_der(certificates(chain).unwrap(), private, self.config.crypto_provider());
        *self.shown.0.write() = Arc::new(read.unwrap());
    }

    /// Makes a TLS connection of one that was accepted. The handshake follows, with its reads.
    pub fn accept(&self, stream: Stream) -> Result<TlsStream> {
        let connection = UnbufferedServerConnection::new(self.config.clone());
        let connection = connection.map_err(|error| Error::new(Status::Tls, error.to_string()))?;
        Ok(TlsStream::new(stream, Machine::hub(connection)))
    }
}

/// The bytes of a file.
pub fn bytes(file: &str) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| Error::io(&error, file))
}

/// An error about what is in a file.
pub fn wrong(what: impl Into<String>, file: &str) -> Error {
    Error::new(Status::Tls, format!("{}: {file}", what.into()))
}

/// The certificates in a file, of which there is at least one.
pub fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = bytes(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(wrong("no certificate in the form of PEM", file)),
        Ok(found) => Ok(found),
        Err(error) => Err(wrong(format!("a certificate is not PEM ({error})"), file)),
    }
}

fn read(chain: &str, key: &str, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let certificates = certificates(chain)?;
    check_dates(&certificates[0], provider).map_err(|why| wrong(why, chain))?;
    let bytes = bytes(key)?;
    let private = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if contains(&bytes, b"ENCRYPTED PRIVATE KEY") => {
            wrong("the key has a password, which a hub cannot be told", key)
        }
        pem::Error::NoItemsFound => wrong("no private key in the form of PEM", key),
        error => wrong(format!("the key is not PEM ({error})"), key),
    })?;
    CertifiedKey::from_der(certificates, private, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            wrong(format!("the key does not fit the certificate in {chain}"), key)
        }
        rustls::Error::InvalidCertificate(error) => wrong(words::certificate(&error), chain),
        error => wrong(format!("the key cannot be used ({error})"), key),
    })
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// Whether a certificate is well-formed and valid now, whoever issued it.
pub fn check_dates(certificate: &CertificateDer<'_>, provider: &CryptoProvider) -> Result<(), String> {
    let nobody = RootCertStore::empty();
    let algorithms = provider.signature_verification_algorithms.all;
    let verified = ParsedCertificate::try_from(certificate).and_then(|parsed| {
        // The dates come before the issuer, which is unknown here.
        verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], UnixTime::now(), algorithms)
    });
    match verified {
        Err(rustls::Error::InvalidCertificate(
            error @ (CertificateError::ExpiredContext { .. }
            | CertificateError::Expired
            | CertificateError::NotValidYetContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::BadEncoding),
        )) => Err(words::certificate(&error)),
        _ => Ok(()),
    }
}
