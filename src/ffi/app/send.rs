//! `ns_app_send_…`: a program publishes.

use std::ffi::{c_char, c_int, c_void};

use super::super::{data, ns_status, ns_value, status, text, timeout, utf8};
use super::{handle_of, ns_app, waiting};
use crate::{Result, Value};

/// Sends a value under a name.
///
/// # Safety
/// `app` and `name` as the header demands.
unsafe fn send(app: *mut ns_app, name: *const c_char, value: Value<'_>) -> Result<()> {
    // SAFETY: as the caller promises.
    let (handle, name) = unsafe { (handle_of(app)?, text(name, "name")?) };
    handle.app.send(name, value)
}

/// Sends `value` as the newest value of `name`: the general form of the functions below.
///
///   ns_app_send(app, "room/temperature", ns_value_double(21.5));
///   ns_app_send(app, "room/aired", ns_value_time(milliseconds_since_1970));
///
/// What `value` leads to is copied.
///
/// - NS_ERR_INVALID: NULL, or `value.kind` is of no value
/// - NS_ERR_MSGPACK: of MessagePack, not exactly one well-formed value, or not of the kind that
///   `value.kind` says
/// - and the errors of ns_app_send_text, with the same rules for `name`, blocking and threads
#[no_mangle]
pub unsafe extern "C" fn ns_app_send(app: *mut ns_app, name: *const c_char, value: ns_value) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { send(app, name, value.read()?) })
}

/// Sends text, NUL-terminated UTF-8, as the newest value of `name`: 1 to 1024 bytes of UTF-8 that do
/// not begin with "$ns/". A value that was not written yet is replaced.
///
/// Both strings are copied. Does not block, and works without a link: the value is kept and goes out
/// when there is one. NS_OK says that it is kept; ns_app_flush, that the hub has it. Any thread.
///
/// - NS_ERR_INVALID: NULL
/// - NS_ERR_UTF8: `name` or `text` is not UTF-8
/// - NS_ERR_NAME: `name` is empty, too long or reserved
/// - NS_ERR_TOO_LARGE: over NS_OPT_MAX_MESSAGE, or what the hub takes
/// - NS_ERR_FULL: own values fill NS_OPT_SEND_QUEUE; nothing changed
/// - NS_ERR_NO_MEMORY: there is no memory for a copy of the value
/// - NS_ERR_CLOSED: the app is closed
#[no_mangle]
pub unsafe extern "C" fn ns_app_send_text(app: *mut ns_app, name: *const c_char, text: *const c_char) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { send(app, name, Value::Text(self::text(text, "text")?)) })
}

/// As ns_app_send_text, with text of `len` bytes that need not be NUL-terminated and may hold NULs.
///
/// - NS_ERR_INVALID: `text` is NULL and `len` is not 0
/// - and the errors of ns_app_send_text
#[no_mangle]
pub unsafe extern "C" fn ns_app_send_textn(
    app: *mut ns_app,
    name: *const c_char,
    text: *const c_char,
    len: usize,
) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { send(app, name, Value::Text(utf8(data(text.cast(), len, "text")?, "text")?)) })
}

/// Sends `len` bytes; `(NULL, 0)` is an empty value. They are copied.
///
/// - NS_ERR_INVALID: `data` is NULL and `len` is not 0
/// - and the errors of ns_app_send_text, with the same rules for `name`, blocking and threads
#[no_mangle]
pub unsafe extern "C" fn ns_app_send_bytes(
    app: *mut ns_app,
    name: *const c_char,
    data: *const c_void,
    len: usize,
) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { send(app, name, Value::Bytes(self::data(data, len, "data")?)) })
}

/// Sends true or false. Rules and errors of ns_app_send_text.
#[no_mangle]
pub unsafe extern "C" fn ns_app_send_bool(app: *mut ns_app, name: *const c_char, value: bool) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { send(app, name, Value::Bool(value)) })
}

/// Sends an integer. Rules and errors of ns_app_send_text.
#[no_mangle]
pub unsafe extern "C" fn ns_app_send_int(app: *mut ns_app, name: *const c_char, value: i64) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { send(app, name, Value::Int(value)) })
}

/// Sends an unsigned integer. One that fits int64_t arrives as NS_KIND_INT. Rules and errors of
/// ns_app_send_text.
#[no_mangle]
pub unsafe extern "C" fn ns_app_send_uint(app: *mut ns_app, name: *const c_char, value: u64) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { send(app, name, Value::Uint(value)) })
}

/// Sends a floating-point number. Rules and errors of ns_app_send_text.
#[no_mangle]
pub unsafe extern "C" fn ns_app_send_double(app: *mut ns_app, name: *const c_char, value: f64) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { send(app, name, Value::Double(value)) })
}

/// Sends nil: there is no value. Rules and errors of ns_app_send_text.
#[no_mangle]
pub unsafe extern "C" fn ns_app_send_nil(app: *mut ns_app, name: *const c_char) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { send(app, name, Value::Nil) })
}

/// Sends the value that `len` bytes of JSON describe. An object arrives as NS_KIND_MAP, an array as
/// NS_KIND_ARRAY, the others as their own kinds. The JSON is copied.
///
/// - NS_ERR_INVALID: not one JSON value, and ns_last_error names the offset; or NULL with `len` not 0
/// - NS_ERR_UTF8: not UTF-8
/// - and the errors of ns_app_send_text, with the same rules for `name`, blocking and threads
#[no_mangle]
pub unsafe extern "C" fn ns_app_send_json(
    app: *mut ns_app,
    name: *const c_char,
    json: *const c_char,
    len: usize,
) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (handle, name, json) = unsafe { (handle_of(app)?, text(name, "name")?, data(json.cast(), len, "json")?) };
        handle.app.send_json(name, utf8(json, "json")?)
    })
}

/// Withdraws the own value of `name`: from now on the name has none. Whoever receives it is given a
/// state of kind NS_KIND_CLEARED, and ns_app_get does not find it any more, here and there. It is a
/// statement about the name: also NS_OK if it has no value, or none any more.
///
/// As a send it does not block, works without a link, and is acknowledged by ns_app_flush; the hub
/// remembers it for 24 hours. Old programs are not told, and neither is a hub that does not know of
/// this: ns_app_stats_t counts that as withheld. Any thread.
///
/// - NS_ERR_INVALID: NULL
/// - NS_ERR_UTF8: `name` is not UTF-8
/// - NS_ERR_NAME: `name` is empty, too long or reserved
/// - NS_ERR_TOO_LARGE: over NS_OPT_MAX_MESSAGE, or what the hub takes
/// - NS_ERR_FULL: own values fill NS_OPT_SEND_QUEUE, and `name` has none; nothing changed
/// - NS_ERR_CLOSED: the app is closed
#[no_mangle]
pub unsafe extern "C" fn ns_app_clear(app: *mut ns_app, name: *const c_char) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (handle, name) = unsafe { (handle_of(app)?, text(name, "name")?) };
        handle.app.clear(name)
    })
}

/// Has the hub withdraw the value of a sender that has departed, as ns_app_clear withdraws an own one:
/// the hub tells whoever knows the value, and remembers that for up to 24 hours. `timeout_ms`
/// milliseconds, -1 forever, also for the link.
///
/// Blocks. Any thread, but not a callback on the app's own thread.
///
/// - NS_ERR_NOT_FOUND: the hub holds no such value
/// - NS_ERR_STATE: the sender is connected, and clears its value itself; or ns_app_connect was not
///   called, or inside a callback on the app's own thread
/// - NS_ERR_PERMISSION: this app may only read, or is an observer
/// - NS_ERR_FULL: the hub has no room to remember it, or for the app
/// - NS_ERR_NO_MEMORY: the hub has no memory to remember it
/// - NS_ERR_RANGE: the value has the last stamp that there is
/// - NS_ERR_UNSUPPORTED: the hub does not know of this
/// - NS_ERR_IDENTITY: `sender` is not an identity
/// - NS_ERR_NAME: `name` is empty, too long or reserved
/// - NS_ERR_UTF8: `sender` or `name` is not UTF-8
/// - NS_ERR_TIMEOUT: no answer in this time; ns_last_error tells why there is no link
/// - NS_ERR_IO: the link was lost before the answer came: the value may be withdrawn, or not
/// - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN: the hub refused the app, which tries again by itself
/// - NS_ERR_INTERRUPTED: by ns_app_interrupt
/// - NS_ERR_CLOSED: the app is closed, or was while this waited
/// - NS_ERR_INVALID: `app`, `sender` or `name` is NULL, or `timeout_ms` is below -1
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn ns_app_forget(
    app: *mut ns_app,
    sender: *const c_char,
    name: *const c_char,
    timeout_ms: c_int,
) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (sender, name) = unsafe { (text(sender, "sender"), text(name, "name")) };
        let timeout = timeout(timeout_ms, "timeout_ms");
        // SAFETY: as above.
        unsafe { waiting(app, |app| app.forget(sender?, name?, timeout?)) }
    })
}

/// Sends `len` bytes that are one MessagePack value already, at most 32 deep. They are checked and
/// copied.
///
/// - NS_ERR_MSGPACK: not exactly one well-formed value
/// - NS_ERR_INVALID: NULL with `len` not 0
/// - and the errors of ns_app_send_text, with the same rules for `name`, blocking and threads
#[no_mangle]
pub unsafe extern "C" fn ns_app_send_msgpack(
    app: *mut ns_app,
    name: *const c_char,
    value: *const c_void,
    len: usize,
) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { send(app, name, Value::Msgpack(data(value, len, "value")?)) })
}
