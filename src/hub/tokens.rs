//! The file with the access tokens of a hub.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;

use log::warn;

use crate::engine::hub::Tokens;
use crate::options::HubOption;
use crate::transport::Address;
use crate::{limits, Error, Result, Status};

/// Whom a hub lets in at its addresses.
#[derive(Default)]
pub struct Guard {
    file: Option<String>,
    /// Whether tokens may come unencrypted from other machines.
    pub in_clear: bool,
}

impl Guard {
    /// Asks for one of the tokens in this file, or with `None` or "" for none.
    pub fn set_file(&mut self, file: Option<&str>) {
        self.file = file.filter(|file| !file.is_empty()).map(str::to_owned);
    }

    /// Whether tokens are asked for.
    pub fn asks(&self) -> bool {
        self.file.is_some()
    }

    /// The tokens in the file, read now.
    pub fn load(&self) -> Result<Option<Tokens>> {
        let Some(file) = &self.file else { return Ok(None) };
        let (text, mode) = read(file).map_err(|error| Error::io(&error, file))?;
        if text.len() > limits::TOKEN_FILE {
            let text = format!("{file}: a file of access tokens has at most {} bytes", limits::TOKEN_FILE);
            return Err(Error::new(Status::Invalid, text));
        }
        let text = String::from_utf8(text)
            .map_err(|_| Error::new(Status::Utf8, format!("{}: {file}", Status::Utf8.text())))?;
        let tokens = Tokens::parse(&text).map_err(|why| Error::new(Status::Invalid, format!("{file}: {why}")))?;
        if mode & 0o006 != 0 {
            let what = if mode & 0o002 != 0 { "write" } else { "read" };
            warn!("{file} has tokens, and every user of this machine can {what} it");
        }
        Ok(Some(tokens))
    }

    /// Refuses an address of apps at which tokens would come unencrypted from other machines.
    pub fn check(&self, address: &Address) -> Result<()> {
        if !self.asks() || self.in_clear || address.is_tls() || address.is_local() {
            return Ok(());
        }
        let option = HubOption::ClearTokens.about().name;
        let text = format!("{address} would take tokens unencrypted: use tls+tcp:// or wss://, or set {option}");
        Err(Error::new(Status::Invalid, text))
    }

    /// Warns where everybody may take part from other machines.
    pub fn warn_if_open(&self, address: &Address) {
        if !self.asks() && !address.is_local() {
            warn!("{address} can be reached from other machines, and no token is asked for");
        }
    }
}

/// What is in a file, up to a byte more than there may be, and its permissions.
fn read(path: &str) -> io::Result<(Vec<u8>, u32)> {
    let (file, mut text) = (File::open(path)?, Vec::new());
    let mode = file.metadata()?.permissions().mode();
    file.take(limits::TOKEN_FILE as u64 + 1).read_to_end(&mut text)?;
    Ok((text, mode))
}
