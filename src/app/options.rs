//! The options of an app.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::App;
use crate::app::LinkState;
use crate::options::{AppOption, AppText};
use crate::transport::tls::Connector;
use crate::transport::Address;
use crate::wire::{self, Hidden};
use crate::{Error, Result, Status};

impl App {
    /// Sets an option.
    ///
    /// # Errors
    /// [`Status::Invalid`]: a value that it cannot take; [`Status::State`]: it must be set before connect;
    /// [`Status::Closed`].
    pub fn set(&self, option: AppOption, value: i64) -> Result<()> {
        let inner = &self.inner;
        let mut driver = inner.open()?;
        let session = &mut driver.protocol;
        option.about().check(value)?;
        let late =
            session.link() != LinkState::Idle || (option == AppOption::CallbackThread && inner.thread.has_started());
        let (flag, size, time) = (value == 1, value as usize, Duration::from_millis(value as u64));
        match option {
            AppOption::LingerMs => inner.linger_ms.store(value, Ordering::Relaxed),
            AppOption::SendQueue => session.set_send_queue(size),
            AppOption::RecvQueue => session.set_recv_queue(size),
            AppOption::BackoffMinMs if time > session.config.backoff_max => {
                let most = session.config.backoff_max.as_millis();
                return Err(crossed(option, value, "above", AppOption::BackoffMaxMs, most));
            }
            AppOption::BackoffMaxMs if time < session.config.backoff_min => {
                let least = session.config.backoff_min.as_millis();
                return Err(crossed(option, value, "below", AppOption::BackoffMinMs, least));
            }
            AppOption::BackoffMinMs => session.config.backoff_min = time,
            AppOption::BackoffMaxMs => session.config.backoff_max = time,
            _ if late => {
                let text = format!("{} must be set before connect", option.about().name);
                return Err(Error::new(Status::State, text));
            }
            AppOption::CallbackThread => inner.callback_thread.store(flag, Ordering::Relaxed),
            AppOption::MaxMessage => session.config.max_message = size,
            AppOption::Echo => session.config.echo = flag,
            AppOption::TakeOver => session.config.take_over = flag,
            AppOption::Shared => session.config.shared = flag,
            AppOption::Observer => session.config.observer = flag,
            AppOption::ClearToken => inner.clear_token.store(flag, Ordering::Relaxed),
        }
        Ok(())
    }

    /// Sets an option whose value is a text, for the next [`App::connect`]; with `None` its variable of the environment
    /// counts, as at first.
    ///
    /// # Errors
    /// [`Status::State`]: it is connecting or connected; [`Status::Closed`].
    pub fn set_text(&self, option: AppText, value: Option<&str>) -> Result<()> {
        let inner = &self.inner;
        if inner.open()?.protocol.link() != LinkState::Idle {
            return Err(Error::new(Status::State, format!("{} must be set before connect", option.about().name)));
        }
        option.set(&mut inner.texts.lock(), value);
        Ok(())
    }

    /// What is asked of hubs with TLS, if one of the addresses is one's.
    pub(super) fn connector(&self, addresses: &[Address]) -> Result<Option<Connector>> {
        let Some(address) = addresses.iter().find(|address| address.is_tls()) else { return Ok(None) };
        let texts = self.inner.texts.lock();
        match (AppText::TlsCa.value(&texts), AppText::TlsPin.value(&texts)) {
            (None, None) => {
                let [ca, pin] = [AppText::TlsCa, AppText::TlsPin].map(|option| {
                    let about = option.about();
                    format!("{} (${})", about.name, about.variable)
                });
                let text = format!("neither {ca} nor {pin} says which hub to trust: {address}");
                Err(Error::new(Status::Tls, text))
            }
            (ca, pin) => Connector::new(ca.as_deref(), pin.as_deref()).map(Some),
        }
    }

    /// The access token for these addresses, none of which may be one at which others could read it.
    pub(super) fn token(&self, addresses: &[Address]) -> Result<Option<Hidden<Box<str>>>> {
        let Some(token) = AppText::Token.value(&self.inner.texts.lock()) else { return Ok(None) };
        wire::check_token(&token)?;
        let (option, allowed) = (AppText::Token.about(), AppOption::ClearToken.about().name);
        let (name, variable) = (option.name, option.variable);
        // Left over from the file that it was read from. A hub would only say that it does not know it.
        if token.contains(char::is_whitespace) {
            let text =
                format!("the token ({name}, ${variable}) contains a blank or the end of a line, as no token does");
            return Err(Error::new(Status::Invalid, text));
        }
        let in_clear = addresses.iter().find(|address| !address.is_tls() && !address.is_local());
        if let (Some(address), false) = (in_clear, self.inner.clear_token.load(Ordering::Relaxed)) {
            let text = format!(
                "the token ({name}, ${variable}) would pass unencrypted to {address}: use tls+tcp:// or wss://, or set {allowed}"
            );
            return Err(Error::new(Status::Invalid, text));
        }
        Ok(Some(Hidden(token.into())))
    }

    /// The value of an option: what was set, else its default.
    ///
    /// # Errors
    /// [`Status::Closed`].
    pub fn option(&self, option: AppOption) -> Result<i64> {
        let inner = &self.inner;
        let driver = inner.open()?;
        let session = &driver.protocol;
        let config = &session.config;
        let (size, millis) = (|bytes: usize| bytes as i64, |time: Duration| time.as_millis() as i64);
        Ok(match option {
            AppOption::LingerMs => inner.linger_ms.load(Ordering::Relaxed),
            AppOption::CallbackThread => inner.callback_thread.load(Ordering::Relaxed).into(),
            AppOption::SendQueue => size(session.send_queue()),
            AppOption::RecvQueue => size(session.recv_queue()),
            AppOption::MaxMessage => size(config.max_message),
            AppOption::BackoffMinMs => millis(config.backoff_min),
            AppOption::BackoffMaxMs => millis(config.backoff_max),
            AppOption::Echo => config.echo.into(),
            AppOption::TakeOver => config.take_over.into(),
            AppOption::Shared => config.shared.into(),
            AppOption::Observer => config.observer.into(),
            AppOption::ClearToken => inner.clear_token.load(Ordering::Relaxed).into(),
        })
    }
}

/// A value that contradicts that of another option.
fn crossed(option: AppOption, value: i64, how: &str, other: AppOption, is: u128) -> Error {
    let (name, other) = (option.about().name, other.about().name);
    Error::new(Status::Invalid, format!("{name} cannot be {value}, {how} {other}, which is {is}"))
}
