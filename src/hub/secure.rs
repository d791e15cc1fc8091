//! The certificate of a hub.

use crate::options::{HubText, Texts};
use crate::transport::tls::Acceptor;
use crate::transport::Address;
use crate::{Error, Result, Status};

/// What a hub shows at its addresses with TLS.
#[derive(Default)]
pub struct Secure {
    texts: Texts,
    acceptor: Option<Acceptor>,
}

impl Secure {
    /// Sets an option, for the next that is read.
    pub fn set(&mut self, option: HubText, value: Option<&str>) {
        option.set(&mut self.texts, value);
    }

    /// What an address shows, which is read for the first address with TLS.
    pub fn acceptor(&mut self, address: &Address) -> Result<Acceptor> {
        if let Some(acceptor) = &self.acceptor {
            return Ok(acceptor.clone());
        }
        let (chain, key) = self.files().ok_or_else(|| {
            Error::new(Status::Invalid, format!("{} is to be set for {address}", HubText::TlsCert.about().name))
        })?;
        Ok(self.acceptor.insert(Acceptor::load(&chain, &key)?).clone())
    }

    /// Whether there is an address with TLS.
    pub fn is_used(&self) -> bool {
        self.acceptor.is_some()
    }

    /// Reads the files again.
    pub fn reload(&self) -> Result<()> {
        match (&self.acceptor, self.files()) {
            (Some(acceptor), Some((chain, key))) => acceptor.reload(&chain, &key),
            (Some(_), None) => Err(Error::new(Status::Invalid, "no certificate is set")),
            (None, _) => Err(Error::new(Status::State, "the hub has no address with TLS, and asks for no tokens")),
        }
    }

    /// Those of the certificate and of its key, which may be the same.
    fn files(&self) -> Option<(String, String)> {
        let chain = HubText::TlsCert.value(&self.texts)?;
        let key = HubText::TlsKey.value(&self.texts).unwrap_or_else(|| chain.clone());
        Some((chain, key))
    }
}
