//! `ns_key`: a name that a program declares once.

use std::ffi::c_char;
use std::ptr::NonNull;

use super::super::counted::{Counted, HandleRef};
use super::super::{held, invalid, ns_opt, ns_status, ns_value, status, text, value, Out, NS_KIND_CLEARED};
use super::{handle_of, ns_app};
use crate::{Key, KeyOption, Result, Will};

/// A name of an app, declared once by ns_app_key. What is sent of it is the app's own value of that
/// name, as by ns_app_send; several keys of a name are as good as one.
///
/// A key may outlive its app: then its functions return NS_ERR_CLOSED. What the app used is given back
/// when its keys are freed, too.
///
/// Threads: every function may be called from any thread, several at once. Lifetime: from ns_app_key
/// to ns_key_free.
pub struct ns_key {
    _opaque: [u8; 0],
}

/// What is behind a key pointer, for the time of a call.
///
/// # Safety
/// `key` is NULL or not freed when the call begins.
unsafe fn key_of(key: *const ns_key) -> Result<HandleRef<Key>> {
    // SAFETY: as the caller promises: `ns_app_key` made it.
    unsafe { held(key.cast::<Counted<Key>>(), "key") }
}

/// Declares a name, to send its values by ns_key_send: 1 to 1024 bytes of UTF-8 that do not begin with
/// "$ns/". It is copied. Sends nothing. Free `*out` with ns_key_free.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: NULL
/// - NS_ERR_UTF8: `name` is not UTF-8
/// - NS_ERR_NAME: `name` is empty, too long or reserved
/// - NS_ERR_CLOSED: the app is closed
#[no_mangle]
pub unsafe extern "C" fn ns_app_key(app: *mut ns_app, name: *const c_char, out: *mut *mut ns_key) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (out, name) = unsafe { (Out::new(out, std::ptr::null_mut()), text(name, "name")) };
        // SAFETY: as above.
        let handle = unsafe { handle_of(app) }?;
        let out = out.required("out")?;
        out.put(Counted::new(handle.app.key(name?)?).cast());
        Ok(())
    })
}

/// Sets an option of the key, an NS_OPT_KEY_ number, for what is sent by this key from now on.
///
///   ns_key_set(key, NS_OPT_KEY_TTL_MS, 10000);
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `key` is NULL, an option that keys do not have, or a value that it cannot take
#[no_mangle]
pub unsafe extern "C" fn ns_key_set(key: *mut ns_key, option: ns_opt, value: i64) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let key = unsafe { key_of(key) }?;
        let known = KeyOption::from_code(option);
        key.set(known.ok_or_else(|| invalid(format!("{option} is not an option of a key")))?, value)
    })
}

/// Sends `value` as the newest value of the key's name, as ns_app_send. What `value` leads to is
/// copied.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `key` is NULL
/// - and the errors of ns_app_send but for those of `name`
#[no_mangle]
pub unsafe extern "C" fn ns_key_send(key: *mut ns_key, value: ns_value) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { key_of(key)?.send(value.read()?) })
}

/// Withdraws the app's own value of the key's name, as ns_app_clear.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `key` is NULL
/// - and the errors of ns_app_clear but for those of `name`
#[no_mangle]
pub unsafe extern "C" fn ns_key_clear(key: *mut ns_key) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { key_of(key)?.clear() })
}

/// Leaves a will with the hub, for the key's name: when the app is lost, the hub publishes `*will`
/// as its value, or withdraws the value if `*will` is ns_value_cleared. NULL takes the will back. It
/// may be changed at any time. What `will` leads to is copied.
///
/// An app is lost if its link ends before it is closed or disconnected, and it is not back within
/// 5 s, or if nothing is heard of it for NS_OPT_HUB_LOST_MS, by default 20 s. A will is void once the
/// app is closed or disconnected, or another app has taken its place. If apps share an identity,
/// their wills have no effect until the last of them is lost. An app that was lost and comes back
/// publishes its own values over its wills, unless it shares its identity.
///
/// The app tells its wills to the hub on every link, before its values. The hub keeps them in
/// memory, and in its store if it has one. A flush returns when the hub has them, and fails if it
/// did not take one: with NS_ERR_PERMISSION if the app may only read, with NS_ERR_FULL if the hub
/// has no room. A hub that keeps no wills, such as an old one, is not told; the log says so. An app
/// may leave 1,000 wills, of 1 MiB together.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `key` is NULL
/// - NS_ERR_FULL: the app leaves as much as it may, and nothing changed
/// - and the errors of ns_app_send but for those of `name`
#[no_mangle]
pub unsafe extern "C" fn ns_key_will(key: *mut ns_key, will: *const ns_value) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (key, will) = unsafe { (key_of(key)?, will.as_ref()) };
        match will {
            None => key.set_will(Will::None),
            Some(value) if value.kind == NS_KIND_CLEARED => key.set_will(Will::Clear),
            // SAFETY: as above.
            Some(value) => key.set_will(unsafe { value.read() }?),
        }
    })
}

/// Frees a key. NULL is ignored. Changes nothing else: the value stays, and a call with this key that
/// runs in another thread goes on.
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_key_free(key: *mut ns_key) {
    value((), || {
        if let Some(key) = NonNull::new(key.cast::<Counted<Key>>()) {
            // SAFETY: `ns_app_key` made it.
            drop(unsafe { Counted::free(key) });
        }
        Ok(())
    });
}
