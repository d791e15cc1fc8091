//! The calls that wait for the hub.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{timed_out, App, Inner};
use crate::engine::app::{LinkState, Peer, Session};
use crate::runtime::deadline::Deadline;
use crate::runtime::{self, reader, Driver};
use crate::wire::{self, HubStats, PeerStats};
use crate::{Error, Result, Status};

impl App {
    /// Waits until the hub has welcomed the app. `None` waits indefinitely. Blocks.
    ///
    /// # Errors
    /// [`Status::Timeout`] with the last failure to connect in words; the status of the hub's refusal, for instance
    /// [`Status::IdentityTaken`]; [`Status::State`]: not asked to connect, or inside a callback on the app's own thread;
    /// [`Status::Interrupted`]; [`Status::Closed`].
    pub fn wait_connected(&self, timeout: Option<Duration>) -> Result<()> {
        let inner = &self.inner;
        inner.check_may_wait()?;
        inner.wait_for_hub(timeout, |session| (session.link() == LinkState::Connected).then_some(Ok(())))
    }

    /// Waits until the hub has confirmed that it holds, in memory, the newest value of each name that was sent so far,
    /// or a newer one. With an old hub: until the values are written to the connection. Under a shared identity a value
    /// counts as held, too, if it gave way to a newer one of another app
    /// ([`AppStats::superseded`](crate::AppStats::superseded)). `None` waits indefinitely. Blocks.
    ///
    /// # Errors
    /// [`Status::Full`], [`Status::TooLarge`]: the hub did not take one of the values;
    /// [`Status::Timeout`], in words why there is no link, or for how long nothing was heard from the hub;
    /// [`Status::State`]: not asked to connect, or inside a callback on the app's own thread; the status of the hub's
    /// refusal; [`Status::Interrupted`]; [`Status::Closed`].
    pub fn flush(&self, timeout: Option<Duration>) -> Result<()> {
        let inner = &self.inner;
        inner.check_may_wait()?;
        let wanted = {
            let mut driver = inner.open()?;
            let wanted = driver.protocol.request_ack();
            inner.act(&mut driver);
            wanted
        };
        let outcome =
            inner.wait_for_hub(timeout, |session| session.is_acked(wanted).then(|| session.check_taken(wanted)));
        match outcome {
            Err(error) if error.status() == Status::Timeout => Err(inner.not_acknowledged(error)),
            outcome => outcome,
        }
    }

    /// Pings the hub, and returns how long the answer took, which comes once the hub has dealt with everything that came
    /// before the ping from this app. `None` waits indefinitely, also for the link. A ping whose link is lost is not
    /// answered. Blocks.
    ///
    /// # Errors
    /// As of [`App::wait_connected`]; [`Status::Unsupported`]: an old hub, which answers no pings.
    pub fn ping(&self, timeout: Option<Duration>) -> Result<Duration> {
        let inner = &self.inner;
        let mut deadline = Deadline::after(timeout);
        let token = loop {
            self.wait_connected(deadline.left())?;
            let mut driver = inner.open()?;
            // The link may be lost again.
            if let Some(token) = driver.protocol.ping(runtime::now())? {
                inner.act(&mut driver);
                break token;
            }
        };
        let outcome = inner.wait_for_hub(deadline.left(), |session| session.pinged(token).map(Ok));
        if let Ok(mut driver) = inner.open() {
            driver.protocol.forget_ping(token);
        }
        match outcome {
            Err(error) if error.status() == Status::Timeout => Err(inner.not_acknowledged(error)),
            outcome => outcome,
        }
    }

    /// Has the hub withdraw the value of a sender that has departed, as [`App::clear`] withdraws an own one: a tombstone with
    /// a stamp of the hub takes its place, and the hub tells whoever knows the value. `None` waits indefinitely, also for the
    /// link. Blocks.
    ///
    /// # Errors
    /// [`Status::NotFound`]: the hub holds no such value; [`Status::State`]: its sender is connected, and clears it itself;
    /// [`Status::Permission`]: this app may only read, or is an observer; [`Status::Full`]: the hub has no room for the
    /// tombstone; [`Status::Unsupported`]: this hub does not know of it; [`Status::Identity`], [`Status::Name`]: not a
    /// sender, not a name; [`Status::Io`]: the link was lost before the answer came; else as of [`App::wait_connected`].
    pub fn forget(&self, sender: &str, name: &str, timeout: Option<Duration>) -> Result<()> {
        wire::check_identity(sender)?;
        wire::check_name(name)?;
        let inner = &self.inner;
        let mut deadline = Deadline::after(timeout);
        let token = loop {
            self.wait_connected(deadline.left())?;
            let mut driver = inner.open()?;
            // The link may be lost again.
            if let Some(token) = driver.protocol.forget(sender, name)? {
                inner.act(&mut driver);
                break token;
            }
        };
        let outcome = inner.wait_for_hub(deadline.left(), |session| session.forgot(token));
        if let Ok(mut driver) = inner.open() {
            driver.protocol.drop_forget(token);
        }
        match outcome {
            Err(error) if error.status() == Status::Timeout => Err(inner.not_acknowledged(error)),
            outcome => outcome,
        }
    }

    /// The other apps that are there, one entry for each app object, in the order of their identities. Asks the hub, the
    /// first time, and knows them from then on; [`App::on_presence`] says which they are. Those that were there before a hub
    /// was restarted may be on their way back to it, and are among them for 10 s. `None` waits indefinitely. Blocks.
    ///
    /// # Errors
    /// As of [`App::wait_connected`]; [`Status::Unsupported`]: this hub does not tell.
    pub fn peers(&self, timeout: Option<Duration>) -> Result<Vec<Peer>> {
        let inner = &self.inner;
        inner.check_may_wait()?;
        inner.tell_session(|session| session.watch_others())?;
        inner.wait_for_hub(timeout, |session| session.others())
    }

    /// The counters of the hub, and of each peer that takes part, old ones included, in no particular order. A hub with many
    /// peers sends them in several messages, so that they are not all of one moment. The addresses of peers are empty if the
    /// hub lets this app only read. Blocks until there is a link and the hub has answered; asks again if the
    /// link is lost. `None` waits indefinitely.
    ///
    /// # Errors
    /// As of [`App::wait_connected`]; [`Status::Unsupported`]: this hub does not tell.
    pub fn hub_stats(&self, timeout: Option<Duration>) -> Result<(HubStats, Vec<PeerStats>)> {
        let inner = &self.inner;
        inner.check_may_wait()?;
        let token = {
            let mut driver = inner.open()?;
            let token = driver.protocol.ask_stats();
            inner.act(&mut driver);
            token
        };
        inner.wait_for_hub(timeout, |session| session.counted(token))
    }

    /// Waits until the hub has sent everything that it held and that this app asked for before the call, on the present
    /// link: then [`App::get`] finds it. Returns also when that is nothing, and with an old hub, which holds nothing.
    /// States that were retained say so ([`State::retained`](crate::State::retained)). `None` waits indefinitely. Blocks.
    ///
    /// # Errors
    /// As of [`App::wait_connected`]; [`Status::Unsupported`]: this hub does not tell.
    pub fn wait_synced(&self, timeout: Option<Duration>) -> Result<()> {
        let inner = &self.inner;
        inner.check_may_wait()?;
        let asked = inner.open()?.protocol.asked();
        inner.wait_for_hub(timeout, |session| session.has_synced(asked))
    }
}

impl Inner {
    /// As [`Inner::wait`], for what comes of a link: if none can be expected, for no longer.
    fn wait_for_hub<T>(&self, timeout: Option<Duration>, ready: impl Fn(&Session) -> Option<Result<T>>) -> Result<T> {
        self.wait(timeout, |driver| {
            let session = &driver.protocol;
            ready(session).or_else(|| match session.link() {
                LinkState::Idle => Some(Err(Error::new(Status::State, "not connected: call connect first"))),
                LinkState::Refused => Some(Err(session.last_failure().cloned().unwrap_or(Status::Refused.into()))),
                LinkState::Connecting | LinkState::Connected => None,
            })
        })
    }

    pub(super) fn check_may_wait(&self) -> Result<()> {
        match self.callback_thread.load(Ordering::Relaxed) && self.thread.is_current() {
            true => Err(Error::new(Status::State, "must not wait inside a callback on the app's own thread")),
            false => Ok(()),
        }
    }

    /// A time-out while there is a link: for how long the hub has been silent.
    fn not_acknowledged(&self, timed_out: Error) -> Error {
        let driver = self.shared.lock();
        match driver.protocol.silence(runtime::now()) {
            Some((url, silence)) => {
                let seconds = silence.as_secs_f64();
                let text = format!("timed out: nothing heard for {seconds:.1} s from the hub at {url}");
                Error::new(Status::Timeout, text)
            }
            None => timed_out,
        }
    }

    /// Waits until `ready` says something, looking again whenever something changed.
    fn wait<T>(
        &self,
        timeout: Option<Duration>,
        mut ready: impl FnMut(&mut Driver<Session>) -> Option<Result<T>>,
    ) -> Result<T> {
        let mut driver = self.open()?;
        let mut deadline = Deadline::after(timeout);
        let look = |driver: &mut Driver<Session>| self.ends_wait().or_else(|| ready(driver));
        let outcome = reader::wait(self, &mut driver, &mut deadline, look);
        outcome.unwrap_or_else(|| Err(timed_out(&driver)))
    }
}
