//! A name that a program declares once.

use std::sync::Arc;

use super::{Inner, Will};
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
}

impl Key {
    /// See [`App::key`](crate::App::key).
    pub(super) fn new(inner: Arc<Inner>, name: &str) -> Result<Key> {
        wire::check_name(name)?;
        Ok(Key { inner, name: name.into() })
    }

    /// The name it was declared with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a value as the newest of the name, as [`App::send`](crate::App::send).
    ///
    /// # Errors
    /// Those of [`App::send`](crate::App::send).
    pub fn send(&self, value: Value<'_>) -> Result<()> {
        self.inner.send(&self.name, value)
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
