//! A name that a program declares once.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;

use super::{Inner, Will};
use crate::engine::app::{Found, Policy};
use crate::options::KeyOption;
use crate::wire::{self, Value};
use crate::Result;

/// A name of an app, declared once by [`App::key`](crate::App::key) and checked there. What is sent of it is the app's own
/// value of that name, as by [`App::send`](crate::App::send); several keys of a name are as good as one.
///
/// It does not keep its app open: once that is closed or dropped, all functions return
/// [`Status::Closed`](crate::Status::Closed). Dropping a key changes nothing; its value stays. Every function may be called
/// from any thread.
///
/// ```
/// use nanostate::{App, Value};
///
/// # fn main() -> nanostate::Result<()> {
/// let app = App::new("thermometer")?;
/// let temperature = app.key("room/temperature")?;
/// temperature.send(Value::Double(21.5))?;
/// temperature.clear()?;
/// # Ok(())
/// # }
/// ```
pub struct Key {
    inner: Arc<Inner>,
    name: Box<str>,
    /// [`KeyOption::TtlMs`].
    ttl: AtomicI64,
    /// [`KeyOption::Transient`].
    is_transient: AtomicBool,
    remembered: Remembered,
}

/// Where the own value of a key was found. Used with the app's lock only, so that the parts belong together.
struct Remembered {
    slot: AtomicU32,
    removed: AtomicU64,
}

impl Remembered {
    fn new() -> Remembered {
        let Found { slot, removed } = Found::default();
        Remembered { slot: AtomicU32::new(slot), removed: AtomicU64::new(removed) }
    }

    fn get(&self) -> Found {
        Found { slot: self.slot.load(Ordering::Relaxed), removed: self.removed.load(Ordering::Relaxed) }
    }

    fn set(&self, found: Found) {
        self.slot.store(found.slot, Ordering::Relaxed);
        self.removed.store(found.removed, Ordering::Relaxed);
    }
}

impl Key {
    /// See [`App::key`](crate::App::key).
    pub(super) fn new(inner: Arc<Inner>, name: &str) -> Result<Key> {
        wire::check_name(name)?;
        let (ttl, is_transient, remembered) = (AtomicI64::new(0), AtomicBool::new(false), Remembered::new());
        Ok(Key { inner, name: name.into(), ttl, is_transient, remembered })
    }

    /// The name it was declared with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets an option, for what is sent by this key from now on.
    ///
    /// # Errors
    /// [`Status::Invalid`](crate::Status::Invalid): a value that it cannot take.
    pub fn set(&self, option: KeyOption, value: i64) -> Result<()> {
        option.about().check(value)?;
        match option {
            KeyOption::TtlMs => self.ttl.store(value, Ordering::Relaxed),
            KeyOption::Transient => self.is_transient.store(value != 0, Ordering::Relaxed),
        }
        Ok(())
    }

    /// Sends a value as the newest of the name, as [`App::send`](crate::App::send).
    ///
    /// # Errors
    /// Those of [`App::send`](crate::App::send).
    pub fn send(&self, value: Value<'_>) -> Result<()> {
        self.inner.send_as(&self.name, value, self.policy(), |driver, now, kind, policy| {
            let mut found = self.remembered.get();
            let sent = driver.protocol.publish_at(now, &mut found, &self.name, value, kind, policy);
            self.remembered.set(found);
            sent
        })
    }

    /// Sends a value given as JSON, as [`App::send_json`](crate::App::send_json).
    ///
    /// # Errors
    /// Those of [`App::send_json`](crate::App::send_json).
    pub fn send_json(&self, json: &str) -> Result<()> {
        self.inner.send_json(&self.name, json, self.policy())
    }

    /// What was set.
    fn policy(&self) -> Policy {
        let lifetime = u64::try_from(self.ttl.load(Ordering::Relaxed)).ok().filter(|&ttl| ttl > 0);
        Policy { lifetime, is_transient: self.is_transient.load(Ordering::Relaxed) }
    }

    /// Withdraws the own value of the name, as [`App::clear`](crate::App::clear).
    ///
    /// # Errors
    /// Those of [`App::clear`](crate::App::clear).
    pub fn clear(&self) -> Result<()> {
        self.inner.clear(&self.name)
    }

    /// Leaves with the hub what it does with the name when the app is lost, as [`App::set_will`](crate::App::set_will).
    ///
    /// # Errors
    /// Those of [`App::set_will`](crate::App::set_will).
    pub fn set_will<'a>(&self, will: impl Into<Will<'a>>) -> Result<()> {
        self.inner.set_will(&self.name, will.into())
    }
}
