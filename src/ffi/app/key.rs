//! `ns_key`: a name that a program declares once.

use std::ffi::c_char;
use std::ptr::NonNull;

use super::super::counted::{Counted, HandleRef};
use super::super::{held, ns_status, ns_value, status, text, value, Out};
use super::{handle_of, ns_app};
use crate::{Key, Result};

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
