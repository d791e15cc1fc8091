//! A program publishes: under a name that it gives with each value, or of a [`Key`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{App, BreakDown, Guard, Inner, Key};
use crate::engine::app::{Draft, Policy, Will};
use crate::engine::Now;
use crate::memory;
use crate::options::AppOption;
use crate::runtime;
use crate::time::MonoTime;
use crate::visible::Quoted;
use crate::wire::{self, Kind, Value};
use crate::{Error, Result, Status};

/// A write in the sender's own thread is worth it if the last one was this long ago, or if a thread of the program has
/// read the socket since: what comes faster is written together by the loop.
const INLINE_AFTER: Duration = Duration::from_micros(20);

impl App {
    /// Sends a value as the newest of `name`. It is kept until it can be written, and announced again after every
    /// reconnect. Never waits for the hub.
    ///
    /// # Errors
    /// [`Status::Name`]; [`Status::Msgpack`], [`Status::Utf8`]: not one well-formed value; [`Status::TooLarge`];
    /// [`Status::Full`]: own values fill the send queue, and nothing changed; [`Status::NoMemory`] for a large value;
    /// [`Status::Closed`].
    pub fn send(&self, name: &str, value: Value<'_>) -> Result<()> {
        self.inner.send(name, value, Policy::default())
    }

    /// Withdraws the own value of `name`: from now on the name has none. Whoever receives it is given a state of
    /// [`Kind::Cleared`](crate::Kind::Cleared), and [`App::get`] does not find it any more, here and there. It is a
    /// statement about the name: a success also if it has no value, or none any more.
    ///
    /// As a send it never waits, works without a link, and is acknowledged by [`App::flush`]; the hub remembers it for 24
    /// hours. Old programs are not told, and neither is a hub that does not know of this: `withheld` of [`App::stats`]
    /// counts that.
    ///
    /// # Errors
    /// [`Status::Name`]; [`Status::TooLarge`]; [`Status::Full`]: own values fill the send queue, and `name` has none;
    /// [`Status::Closed`].
    pub fn clear(&self, name: &str) -> Result<()> {
        self.inner.clear(name)
    }

    /// Leaves a will with the hub: when this app is lost, the hub publishes a [`Value`] of `name`, or withdraws the value
    /// ([`Will::Clear`]). [`Will::None`] takes the will back. It may be changed at any time.
    ///
    /// An app is lost if it ends without [`App::close`] or [`App::disconnect`] and is not back within 5 s, or if nothing is
    /// heard of it for [`HubOption::LostMs`](crate::HubOption::LostMs), by default 20 s. A will is void once the app is closed
    /// or disconnected, or another app has taken its place. If apps share an identity, their wills have no effect until the last of
    /// them is lost. An app that was lost and comes back publishes its own values over its wills, unless it shares its identity.
    ///
    /// Does not block. The app tells its wills to the hub on every link, before its values. The hub keeps them in memory, and
    /// in its store if it has one. [`App::flush`] returns when the hub has them. A hub that keeps no wills, such as an old one,
    /// is not told; the log says so.
    ///
    /// # Errors
    /// [`Status::Name`]; [`Status::Msgpack`], [`Status::Utf8`]: not one well-formed value; [`Status::TooLarge`];
    /// [`Status::Full`]: an app may leave [`WILLS`](crate::limits::WILLS) wills, which may have
    /// [`WILL_BYTES`](crate::limits::WILL_BYTES) together; [`Status::Closed`]. That the hub did not take one is an error of
    /// [`App::flush`]: [`Status::Permission`] if this app may only read, [`Status::Full`] if the hub has no room.
    pub fn set_will<'a>(&self, name: &str, will: impl Into<Will<'a>>) -> Result<()> {
        self.inner.set_will(name, will.into())
    }

    /// Sends a value given as JSON.
    ///
    /// # Errors
    /// [`Status::Invalid`] with the offset of the fault; else as [`App::send`].
    pub fn send_json(&self, name: &str, json: &str) -> Result<()> {
        self.inner.send_json(name, json, Policy::default())
    }

    /// Declares a name, to send its values by [`Key::send`]. Sends nothing.
    ///
    /// # Errors
    /// [`Status::Name`]; [`Status::Closed`].
    pub fn key(&self, name: &str) -> Result<Key> {
        self.inner.check_usable()?;
        Key::new(self.inner.clone(), name)
    }
}

impl Inner {
    /// See [`App::send`]; in this way.
    pub(super) fn send(&self, name: &str, value: Value<'_>, policy: Policy) -> Result<()> {
        self.send_as(name, value, policy, |driver, now, kind, policy| {
            driver.protocol.publish_as(now, name, value, kind, policy)
        })
    }

    /// The same; `publish` hands a small value to the engine.
    #[inline]
    pub(super) fn send_as(
        &self,
        name: &str,
        value: Value<'_>,
        policy: Policy,
        publish: impl FnOnce(&mut Guard<'_>, Now, Kind, Policy) -> Result<()>,
    ) -> Result<()> {
        let kind = value.kind()?;
        if value.max_encoded_len() > AppOption::MaxMessage.about().high as usize {
            return Err(Error::new(Status::TooLarge, format!("{} exceeds the largest possible message", Quoted(name))));
        }
        // Without the lock, which the loop needs meanwhile.
        let draft = match Draft::is_worthwhile(&value) {
            true => Some(Draft::new(&self.identity, name, value, kind)?.with_policy(policy)),
            false => None,
        };
        let mut driver = self.open()?;
        let nothing_waits = driver.protocol.waiting() == 0;
        let now = runtime::now();
        match draft {
            Some(draft) => driver.protocol.publish_draft(now, draft)?,
            None => publish(&mut driver, now, kind, policy)?,
        }
        self.write(driver, now, nothing_waits, policy.lifetime.is_some());
        Ok(())
    }

    /// See [`App::send_json`], and for the way [`Inner::send`].
    pub(super) fn send_json(&self, name: &str, json: &str, policy: Policy) -> Result<()> {
        let mut value = memory::for_value(json.len(), name)?;
        wire::to_msgpack(json, &mut value).map_err(|error| match error.status() {
            Status::NoMemory => memory::none_for(json.len(), name),
            _ => error,
        })?;
        self.send(name, Value::Msgpack(&value), policy)
    }

    /// See [`App::clear`].
    pub(super) fn clear(&self, name: &str) -> Result<()> {
        let mut driver = self.open()?;
        let nothing_waits = driver.protocol.waiting() == 0;
        let now = runtime::now();
        driver.protocol.clear(now, name)?;
        self.write(driver, now, nothing_waits, false);
        Ok(())
    }

    /// See [`App::set_will`].
    pub(super) fn set_will(&self, name: &str, will: Will<'_>) -> Result<()> {
        let mut driver = self.open()?;
        driver.protocol.set_will(name, will)?;
        self.act(&mut driver);
        Ok(())
    }

    /// Writes what a program has just sent in this thread, which may then run the hub's turn, or in the loop's if sends
    /// come quickly. `expires`: the loop may sleep for too long.
    fn write(&self, mut driver: Guard<'_>, now: Now, nothing_waits: bool, expires: bool) {
        if !driver.protocol.has_action() {
            if expires {
                driver.run_actions(now);
            }
            return;
        }
        let last = MonoTime::from_nanos(self.last_inline.load(Ordering::Relaxed));
        if !nothing_waits || now.mono < last + INLINE_AFTER {
            self.shared.wake();
            if expires {
                driver.run_actions(now);
            }
            return;
        }
        let broken = BreakDown(self);
        let notices = driver.run_actions_and_tell_later(now);
        drop(broken);
        self.last_inline.store(now.mono.as_nanos(), Ordering::Relaxed);
        drop(driver);
        if !notices.is_empty() {
            notices.serve();
            // However long that took, what follows at once is not a single one.
            self.last_inline.store(runtime::now().mono.as_nanos(), Ordering::Relaxed);
        }
    }
}
