//! `ns_app`: the endpoint in a program.

use std::ffi::{c_char, c_int, c_void, CString};
use std::ptr::NonNull;

use super::counted::{Counted, HandleRef};
use super::enter::enter;
use super::free_guard::FreeGuard;
use super::{
    data, held, ns_kind, ns_link, ns_opt, ns_state, ns_status, null, status, text, timeout, utf8, value, Carried, Out,
    OutStruct, NS_LINK_IDLE,
};
use crate::pattern::Pattern;
use crate::runtime::thread::NotCancelled;
use crate::{App, AppOption, AppStats, Error, OnLink, OnReject, OnState, Result, Status, Value};

/// An app: the endpoint in a program. It has an identity, connects to a hub, and sends and receives
/// states. It reconnects by itself, for ever, and what is sent meanwhile is kept.
///
/// Threads: every function may be called from any thread, several at once. Lifetime: from
/// ns_app_new to ns_app_free.
pub struct ns_app {
    _opaque: [u8; 0],
}

/// What is behind an `ns_app`.
struct Behind {
    app: App,
    identity: CString,
    guard: FreeGuard<App>,
}

/// Gets a state. The state is borrowed for the call: ns_state_ref keeps it.
///
/// Runs where callbacks run (see the top of this file).
pub type ns_state_fn = Option<unsafe extern "C" fn(app: *mut ns_app, state: *const ns_state, ctx: *mut c_void)>;

/// Gets a state of ns_app_each. The state is borrowed for the call: ns_state_ref keeps it. True goes on
/// to the next, false ends the walk.
///
/// Runs inside ns_app_each.
pub type ns_each_state_fn =
    Option<unsafe extern "C" fn(app: *mut ns_app, state: *const ns_state, ctx: *mut c_void) -> bool>;

/// Hears of each change of the link and, as long as there is none, of each new reason: once, not with
/// every attempt. `why` is NS_OK, or what broke or prevents the link, and `text` says so in words, ""
/// if there is nothing to say; `text` is borrowed for the call.
///
/// Runs where callbacks run (see the top of this file).
pub type ns_link_fn = Option<
    unsafe extern "C" fn(app: *mut ns_app, link: ns_link, why: ns_status, text: *const c_char, ctx: *mut c_void),
>;

/// Hears of a state that was not delivered, because its kind is not in the mask of ns_app_set_accept.
/// `sender` and `name` are borrowed for the call.
///
/// Runs where callbacks run (see the top of this file).
pub type ns_reject_fn = Option<
    unsafe extern "C" fn(app: *mut ns_app, sender: *const c_char, name: *const c_char, kind: ns_kind, ctx: *mut c_void),
>;

/// Counters of an app since ns_app_new. Later versions append fields.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ns_app_stats_t {
    /// Own values that a send took.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// States received and accepted.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Own values replaced by newer ones before they were written.
    pub conflated_out: u64,
    /// Received values replaced by newer ones before the program took them.
    pub conflated_in: u64,
    /// Received values dropped: the queue was full.
    pub dropped_in: u64,
    /// Received values of a kind that is not accepted.
    pub rejected: u64,
    /// Received values that were there already, or are older than an own one.
    pub stale: u64,
    /// Own values that came back from an old hub.
    pub echoes: u64,
    /// Own values that the hub did not take.
    pub refused: u64,
    /// Own values under a shared identity (NS_OPT_SHARED) that gave way to a newer one of another app.
    pub superseded: u64,
    /// Own values withheld from an old hub, or larger than the hub takes.
    pub withheld: u64,
    /// Malformed messages received.
    pub malformed: u64,
    /// Messages received over the limit, or larger than there was memory for.
    pub too_large: u64,
    /// Links that were established.
    pub connects: u64,
    /// Now: bytes of own values.
    pub own_bytes: u64,
    /// Now: states that wait to be taken.
    pub queued: u64,
    /// Now: their bytes.
    pub queued_bytes: u64,
}

impl From<AppStats> for ns_app_stats_t {
    fn from(stats: AppStats) -> ns_app_stats_t {
        ns_app_stats_t {
            sent: stats.sent,
            sent_bytes: stats.sent_bytes,
            received: stats.received,
            received_bytes: stats.received_bytes,
            conflated_out: stats.conflated_out,
            conflated_in: stats.conflated_in,
            dropped_in: stats.dropped_in,
            rejected: stats.rejected,
            stale: stats.stale,
            echoes: stats.echoes,
            refused: stats.refused,
            superseded: stats.superseded,
            withheld: stats.withheld,
            malformed: stats.malformed,
            too_large: stats.too_large,
            connects: stats.connects,
            own_bytes: stats.own_bytes,
            queued: stats.queued,
            queued_bytes: stats.queued_bytes,
        }
    }
}

/// The option with a number.
fn option(number: ns_opt) -> Result<AppOption> {
    AppOption::from_code(number).ok_or_else(|| super::invalid(format!("{number} is no option of an app")))
}

/// What is behind an app pointer, for the time of a call.
///
/// # Safety
/// `app` is NULL or not freed when the call begins.
unsafe fn handle_of(app: *const ns_app) -> Result<HandleRef<Behind>> {
    // SAFETY: as the caller promises: `ns_app_new` made it.
    unsafe { held(app.cast::<Counted<Behind>>(), "app") }
}

/// Runs a call that waits or runs callbacks: the handle may be freed meanwhile, by another thread or by the callback
/// itself.
///
/// # Safety
/// `app` is NULL or not freed when the call begins.
unsafe fn waiting<T>(app: *const ns_app, call: impl FnOnce(&App) -> Result<T>) -> Result<T> {
    // SAFETY: as the caller promises.
    let handle = unsafe { handle_of(app) }?;
    let outcome = call(&handle.app);
    match handle.guard.ended() {
        true => Err(Error::from(Status::Closed)),
        false => outcome,
    }
}

/// Closes an app that was freed inside its own callback, which has returned.
fn close(app: App) {
    let _ = app.close(None);
}

/// Sends a value under a name.
///
/// # Safety
/// `app` and `name` as the header demands.
unsafe fn send(app: *mut ns_app, name: *const c_char, value: Value<'_>) -> Result<()> {
    // SAFETY: as the caller promises.
    let (handle, name) = unsafe { (handle_of(app)?, text(name, "name")?) };
    handle.app.send(name, value)
}

/// Text of ours for a callback. What comes from the wire has no NUL.
fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

/// Makes an app whose identity, the name it has for others, is `identity`: 1 to 255 bytes of UTF-8.
/// It does nothing until ns_app_connect. Free `*out` with ns_app_free.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `identity` or `out` is NULL
/// - NS_ERR_UTF8: `identity` is not UTF-8
/// - NS_ERR_IDENTITY: `identity` is empty, too long, or "$ns", which is the hub's own
/// - NS_ERR_NO_MEMORY, NS_ERR_IO: no memory, descriptors or threads left
#[no_mangle]
pub unsafe extern "C" fn ns_app_new(identity: *const c_char, out: *mut *mut ns_app) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (out, identity) = unsafe { (Out::new(out, std::ptr::null_mut()), text(identity, "identity")) };
        let out = out.required("out")?;
        let identity = identity?;
        let app = App::new(identity)?;
        let identity = c_string(app.identity());
        out.put(Counted::new(Behind { app, identity, guard: FreeGuard::new() }).cast());
        Ok(())
    })
}

/// Sets an option, an NS_OPT_ number below 101.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: NULL, an option that apps do not have, or a value that it cannot take
/// - NS_ERR_STATE: the option is to be set before ns_app_connect
/// - NS_ERR_CLOSED: the app is closed
#[no_mangle]
pub unsafe extern "C" fn ns_app_set(app: *mut ns_app, option: ns_opt, value: i64) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(app) }?;
        handle.app.set(self::option(option)?, value)
    })
}

/// Reads an option: what was set, else its default.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: NULL, or an option that apps do not have
/// - NS_ERR_CLOSED: the app is closed
#[no_mangle]
pub unsafe extern "C" fn ns_app_option(app: *const ns_app, option: ns_opt, out: *mut i64) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let out = unsafe { Out::new(out, 0) }.required("out")?;
        // SAFETY: as above.
        let handle = unsafe { handle_of(app) }?;
        out.put(handle.app.option(self::option(option)?)?);
        Ok(())
    })
}

/// Connects to the hub at `url`, "tcp://127.0.0.1:15000" or "ipc:///run/hub" or "inproc://name".
/// NULL: the environment variable NANOSTATE_URL, else NS_DEFAULT_URL. Several addresses of one hub
/// are separated by commas and tried in order; a comma that no URL follows is part of a path or name.
/// "ipc://run/hub" is a path from the present working directory, whatever that is later.
///
/// Returns at once; connecting goes on in the background, for ever, also when there is no hub yet.
/// ns_app_wait_connected waits for it, ns_link_fn hears of it. Any thread.
///
/// - NS_ERR_URL: `url` is malformed
/// - NS_ERR_UTF8: `url` is not UTF-8
/// - NS_ERR_UNSUPPORTED: this build does not have that transport
/// - NS_ERR_STATE: the app is connecting or connected: ns_app_disconnect first
/// - NS_ERR_NO_MEMORY, NS_ERR_IO: no memory or threads left for the app's thread
/// - NS_ERR_CLOSED: the app is closed
/// - NS_ERR_INVALID: `app` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_connect(app: *mut ns_app, url: *const c_char) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(app) }?;
        // SAFETY: as above.
        let url = (!url.is_null()).then(|| unsafe { text(url, "url") }).transpose()?;
        handle.app.connect(url)
    })
}

/// Waits until the hub has welcomed the app: `timeout_ms` milliseconds, -1 for ever, 0 only looks.
///
/// Blocks. Any thread, but not a callback on the app's own thread.
///
/// - NS_ERR_TIMEOUT: ns_last_error tells the last failure, "connection refused: tcp://127.0.0.1:15000
///   (is "nanostate hub" running?)"
/// - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, the last because it
///   has too many peers; the app tries again by itself
/// - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
/// - NS_ERR_INTERRUPTED: by ns_app_interrupt
/// - NS_ERR_CLOSED: the app is closed, or was while this waited
/// - NS_ERR_INVALID: `app` is NULL, or `timeout_ms` is below -1
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn ns_app_wait_connected(app: *mut ns_app, timeout_ms: c_int) -> ns_status {
    status(|| {
        let timeout = timeout(timeout_ms, "timeout_ms");
        // SAFETY: the arguments are as the header demands.
        unsafe { waiting(app, |app| app.wait_connected(timeout?)) }
    })
}

/// Waits until the hub has confirmed that it holds, in memory, the newest value of each name that was
/// sent so far, or a newer one. With an old hub: until the values are written to the connection. Under
/// a shared identity (NS_OPT_SHARED) a value counts as held, too, if it gave way to a newer one of
/// another app: the hub sends that one, and ns_app_stats counts the other as superseded. `timeout_ms`
/// milliseconds, -1 for ever, 0 only looks.
///
/// Blocks. Any thread, but not a callback on the app's own thread.
///
/// - NS_ERR_TIMEOUT: not all of them in this time; sending goes on in the background. ns_last_error
///   tells why there is no link, or how long nothing has been heard from the hub
/// - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN: the hub refused the app, which tries again by itself
/// - NS_ERR_FULL, NS_ERR_TOO_LARGE: the hub has no room or no memory for one of the values, or takes
///   none of its size; ns_last_error names it. NS_ERR_FULL also if the hub has no room for the app,
///   NS_ERR_IDENTITY_TAKEN also if another program keeps replacing a value under this identity
/// - NS_ERR_NO_MEMORY: a large value needs a new stamp, and there is no memory for a copy
/// - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
/// - NS_ERR_INTERRUPTED: by ns_app_interrupt
/// - NS_ERR_CLOSED: the app is closed, or was while this waited
/// - NS_ERR_INVALID: `app` is NULL, or `timeout_ms` is below -1
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn ns_app_flush(app: *mut ns_app, timeout_ms: c_int) -> ns_status {
    status(|| {
        let timeout = timeout(timeout_ms, "timeout_ms");
        // SAFETY: the arguments are as the header demands.
        unsafe { waiting(app, |app| app.flush(timeout?)) }
    })
}

/// Gives up the link. Own values are kept and announced after the next ns_app_connect, which may name
/// another URL. Success also when there is no link.
///
/// Does not wait for unsent values: ns_app_flush does. Any thread.
///
/// - NS_ERR_CLOSED: the app is closed
/// - NS_ERR_INVALID: `app` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_disconnect(app: *mut ns_app) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { waiting(app, App::disconnect) })
}

/// Closes the app for good: waits up to `linger_ms` milliseconds for unsent values (-1: as long as
/// NS_OPT_LINGER_MS says, 0: not at all) and gives up the link. Who waits in another thread returns
/// with NS_ERR_CLOSED, as does every later call that needs the link. Closing again is a success.
///
/// Blocks up to that long; in a callback it does not wait. Any thread. The handle still is to be
/// freed.
///
/// - NS_ERR_INVALID: `app` is NULL, or `linger_ms` is below -1
#[no_mangle]
pub unsafe extern "C" fn ns_app_close(app: *mut ns_app, linger_ms: c_int) -> ns_status {
    status(|| {
        let linger = timeout(linger_ms, "linger_ms");
        // SAFETY: the arguments are as the header demands.
        unsafe { waiting(app, |app| app.close(linger?)) }
    })
}

/// Makes the call that waits on this app, or the next one that would, return NS_ERR_INTERRUPTED. NULL
/// is ignored.
///
/// May be called in a signal handler. Does not block; any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_app_interrupt(app: *mut ns_app) {
    // Nothing is allocated or locked here, and no error kept: this may be a signal handler.
    if let Some(handle) = NonNull::new(app.cast::<Counted<Behind>>()) {
        let _not_cancelled = NotCancelled::here();
        // SAFETY: the arguments are as the header demands.
        unsafe { Counted::glance(handle, |behind| behind.app.interrupt()) };
    }
}

/// Frees an app: closes it as ns_app_close(app, -1) does and ends its thread. NULL is ignored.
///
/// When it returns, no callback of the app runs or will run, and the handle is gone: no new call on it
/// may be started. Calls that run in other threads end safely: those that wait return NS_ERR_CLOSED, an
/// ns_app_each ends when its function returns. States received stay valid.
///
/// Blocks. Any thread. Inside a callback of the same app the handle is gone at once too, and the rest
/// happens when the callback returns; the ns_app_dispatch or ns_app_recv that ran it then returns
/// NS_ERR_CLOSED.
#[no_mangle]
pub unsafe extern "C" fn ns_app_free(app: *mut ns_app) {
    let Some(handle) = NonNull::new(app.cast::<Counted<Behind>>()) else { return };
    value((), || {
        // SAFETY: made by `ns_app_new`, as the header demands.
        let Some(behind) = (unsafe { Counted::free(handle) }) else { return Ok(()) };
        if let Some(app) = behind.guard.end(behind.app.clone()) {
            let _ = app.close(None);
            // These wait for a callback that is running in another thread.
            let _ = app.on_state(None);
            let _ = app.on_link(None);
            let _ = app.on_reject(None);
            // Who holds the handle otherwise, in a running call, lets go of it later.
            app.end_thread();
        }
        Ok(())
    });
}

/// The identity that the app was made with; "" for NULL.
///
/// The text belongs to the app and is valid until ns_app_free. Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_app_identity(app: *const ns_app) -> *const c_char {
    value(c"".as_ptr(), || {
        // SAFETY: the arguments are as the header demands.
        Ok(unsafe { handle_of(app) }?.identity.as_ptr())
    })
}

/// Where the link stands now, an NS_LINK_ number; NS_LINK_IDLE for NULL and for a closed app.
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_app_link(app: *const ns_app) -> ns_link {
    value(NS_LINK_IDLE, || {
        // SAFETY: the arguments are as the header demands.
        Ok(unsafe { handle_of(app) }?.app.link() as ns_link)
    })
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
    status(|| unsafe { send(app, name, Value::Text(super::text(text, "text")?)) })
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
    status(|| unsafe { send(app, name, Value::Bytes(super::data(data, len, "data")?)) })
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

/// The newest value of `name` by `sender` that this app knows; with `sender` NULL the newest of any
/// sender, own values included: the same one for every app that takes all kinds, whatever their clocks
/// say. It does not ask the hub, and takes nothing from ns_app_recv. Free `*out` with ns_state_free; on
/// failure it is NULL.
///
/// Does not block. Any thread.
///
/// - NS_ERR_NOT_FOUND: this app knows no such value, or is closed
/// - NS_ERR_NO_MEMORY: there is no memory for a copy of a large own value
/// - NS_ERR_UTF8: `sender` or `name` is not UTF-8
/// - NS_ERR_INVALID: `app`, `name` or `out` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_get(
    app: *mut ns_app,
    sender: *const c_char,
    name: *const c_char,
    out: *mut *mut ns_state,
) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let out = unsafe { Out::new(out, std::ptr::null_mut()) }.required("out")?;
        // SAFETY: as above.
        let handle = unsafe { handle_of(app) }?;
        // SAFETY: as above.
        let sender = (!sender.is_null()).then(|| unsafe { text(sender, "sender") }).transpose()?;
        // SAFETY: as above.
        let name = unsafe { text(name, "name") }?;
        let found = match handle.app.find(sender, name) {
            // It knows nothing.
            Err(error) if error.status() == Status::Closed => None,
            found => found?,
        };
        let state = found.ok_or_else(|| match sender {
            Some(sender) => Error::new(Status::NotFound, format!("{name:?} of {sender:?} is not known here")),
            None => Error::new(Status::NotFound, format!("{name:?} is not known here")),
        })?;
        out.put(super::state::into_raw(state));
        Ok(())
    })
}

/// Calls `function` for the newest value of each (sender, name) that this app knows and whose name
/// matches `pattern`: `*` is one segment of a name or part of one, `**` any number of segments, NULL
/// every name. Own values are included; they come in no particular order. It does not ask the hub, and
/// takes nothing from ns_app_recv.
///
/// The calls come in this thread, before it returns, until one returns false, which is a success too.
/// What is shown is what the app knew when the walk began. `function` may use the app. Does not wait
/// for others. Any thread.
///
/// - NS_ERR_NAME: `pattern` is empty or too long
/// - NS_ERR_UTF8: `pattern` is not UTF-8
/// - NS_ERR_NO_MEMORY: there is no memory for copies of large own values
/// - NS_ERR_CLOSED: the app is closed, or was freed during the walk
/// - NS_ERR_INVALID: `app` or `function` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_each(
    app: *mut ns_app,
    pattern: *const c_char,
    function: ns_each_state_fn,
    ctx: *mut c_void,
) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(app) }?;
        let function = function.ok_or_else(|| null("function"))?;
        // SAFETY: as above.
        let pattern = (!pattern.is_null()).then(|| unsafe { text(pattern, "pattern") }).transpose()?;
        let pattern = pattern.map(Pattern::new).transpose()?;
        for state in handle.app.states(pattern.as_ref())? {
            if handle.guard.ended() {
                return Err(Status::Closed.into());
            }
            // SAFETY: the app is not freed, the state outlives the call, and the function is as the header demands.
            if !unsafe { enter!(function, app, super::state::as_raw(&state), ctx) } {
                break;
            }
        }
        Ok(())
    })
}

/// Takes the next state: waits `timeout_ms` milliseconds, -1 for ever, 0 only tries. Free `*out` with
/// ns_state_free; on failure it is NULL. Callbacks other than on_state run in here.
///
/// Blocks. Any thread; several may receive, and each state goes to one of them.
///
/// - NS_ERR_TIMEOUT: nothing came
/// - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, as of
///   ns_app_wait_connected; returned once for each new refusal
/// - NS_ERR_STATE: there is an on_state function, or NS_OPT_CALLBACK_THREAD is set
/// - NS_ERR_NO_MEMORY, NS_ERR_IO: as ns_app_connect, for an app that was never connected
/// - NS_ERR_INTERRUPTED: by ns_app_interrupt
/// - NS_ERR_CLOSED: the app is closed, or was while this waited
/// - NS_ERR_INVALID: `app` or `out` is NULL, or `timeout_ms` is below -1
#[no_mangle]
pub unsafe extern "C" fn ns_app_recv(app: *mut ns_app, timeout_ms: c_int, out: *mut *mut ns_state) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let out = unsafe { Out::new(out, std::ptr::null_mut()) }.required("out");
        let timeout = timeout(timeout_ms, "timeout_ms");
        // SAFETY: as above.
        let (out, state) = unsafe { waiting(app, |app| Ok((out?, app.recv(timeout?)?))) }?;
        out.put(super::state::into_raw(state));
        Ok(())
    })
}

/// Runs the callbacks of what has come, in this thread: up to `max` of them, 0 for all. Waits
/// `timeout_ms` milliseconds for the first, -1 for ever, 0 only tries.
///
/// Blocks. Any thread; callbacks of one app run one at a time.
///
/// - NS_ERR_TIMEOUT: nothing came
/// - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: as of ns_app_recv
/// - NS_ERR_STATE: NS_OPT_CALLBACK_THREAD is set, or inside a callback of this app
/// - NS_ERR_NO_MEMORY, NS_ERR_IO: as ns_app_connect, for an app that was never connected
/// - NS_ERR_INTERRUPTED: by ns_app_interrupt
/// - NS_ERR_CLOSED: the app is closed, was closed while this waited, or a callback freed it
/// - NS_ERR_INVALID: `app` is NULL, or `timeout_ms` is below -1
#[no_mangle]
pub unsafe extern "C" fn ns_app_dispatch(app: *mut ns_app, timeout_ms: c_int, max: usize) -> ns_status {
    status(|| {
        let timeout = timeout(timeout_ms, "timeout_ms");
        let max = if max == 0 { usize::MAX } else { max };
        // SAFETY: the arguments are as the header demands.
        let ran = unsafe { waiting(app, |app| app.dispatch(timeout?, max)) };
        ran.map(drop)
    })
}

/// A descriptor for poll, select or an event loop: readable while ns_app_recv or ns_app_dispatch has
/// anything to take. Level-triggered; may be readable without cause. -1 on failure.
///
/// It belongs to the app, is the same for its whole life, and is closed by ns_app_free: never read,
/// write or close it. From the first call on the app's own thread reads the socket, also while another
/// waits in ns_app_recv: each state then takes one extra thread switch. Does not block.
/// Any thread.
///
/// - NS_ERR_STATE (see ns_last_error): NS_OPT_CALLBACK_THREAD is set
/// - NS_ERR_IO: no descriptors left
/// - NS_ERR_CLOSED: the app is closed
/// - NS_ERR_INVALID: `app` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_fd(app: *mut ns_app) -> c_int {
    value(-1, || {
        // SAFETY: the arguments are as the header demands.
        unsafe { handle_of(app) }?.app.fd()
    })
}

/// Sets the function that gets states; NULL for none. With one, states come through ns_app_dispatch
/// (or on the app's own thread) and ns_app_recv is NS_ERR_STATE.
///
/// When it returns, the previous function is not running and will not run, unless this is called inside
/// it. `ctx` is passed to it and otherwise left alone. Waits for a running callback. Any thread.
///
/// - NS_ERR_CLOSED: the app is closed
/// - NS_ERR_INVALID: `app` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_on_state(app: *mut ns_app, function: ns_state_fn, ctx: *mut c_void) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let guard = unsafe { handle_of(app) }?.guard.clone();
        let (shown, ctx) = (Carried(app), Carried(ctx));
        let callback = function.map(|function| -> Box<OnState> {
            Box::new(move |state| {
                let state = super::state::as_raw(state);
                // SAFETY: the app is not freed, the state outlives the call, and the function is as the header demands.
                guard.callback(|| unsafe { enter!(function, shown.get(), state, ctx.get()) }, close);
            })
        });
        // SAFETY: as above.
        unsafe { waiting(app, |app| app.on_state(callback)) }
    })
}

/// Sets the function that hears of the link; NULL for none. Otherwise as ns_app_on_state, with the
/// same errors.
#[no_mangle]
pub unsafe extern "C" fn ns_app_on_link(app: *mut ns_app, function: ns_link_fn, ctx: *mut c_void) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let guard = unsafe { handle_of(app) }?.guard.clone();
        let (shown, ctx) = (Carried(app), Carried(ctx));
        let callback = function.map(|function| -> Box<OnLink> {
            Box::new(move |link, why, text| {
                let text = c_string(text);
                let (link, why) = (link as ns_link, why.code());
                // SAFETY: the app is not freed, the text outlives the call, and the function is as the header demands.
                let call = || unsafe { enter!(function, shown.get(), link, why, text.as_ptr(), ctx.get()) };
                guard.callback(call, close);
            })
        });
        // SAFETY: as above.
        unsafe { waiting(app, |app| app.on_link(callback)) }
    })
}

/// Sets the function that hears of states whose kind is not accepted; NULL for none. Otherwise as
/// ns_app_on_state, with the same errors.
#[no_mangle]
pub unsafe extern "C" fn ns_app_on_reject(app: *mut ns_app, function: ns_reject_fn, ctx: *mut c_void) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let guard = unsafe { handle_of(app) }?.guard.clone();
        let (shown, ctx) = (Carried(app), Carried(ctx));
        let callback = function.map(|function| -> Box<OnReject> {
            Box::new(move |sender, name, kind| {
                let (sender, name) = (c_string(sender), c_string(name));
                let kind = kind as ns_kind;
                guard.callback(
                    // SAFETY: the app is not freed, the strings outlive the call, and the function is as the header
                    // demands.
                    || unsafe { enter!(function, shown.get(), sender.as_ptr(), name.as_ptr(), kind, ctx.get()) },
                    close,
                );
            })
        });
        // SAFETY: as above.
        unsafe { waiting(app, |app| app.on_reject(callback)) }
    })
}

/// Says which kinds of states the app takes: NS_ACCEPT(NS_KIND_TEXT) | NS_ACCEPT(NS_KIND_INT), or
/// NS_ACCEPT_ANY, as at the start. 0 takes nothing. Other states are not delivered but counted, and
/// told to the function of ns_app_on_reject. Takes effect for what comes from now on.
///
/// Does not block. Any thread.
///
/// - NS_ERR_CLOSED: the app is closed
/// - NS_ERR_INVALID: `app` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_set_accept(app: *mut ns_app, mask: u32) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { handle_of(app) }?.app.set_accept(mask))
}

/// Reads the counters. `size` is sizeof *out: fields that the library does not know are 0, and so are
/// all on failure.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `app` or `out` is NULL, or `size` is 0
#[no_mangle]
pub unsafe extern "C" fn ns_app_stats(app: *const ns_app, out: *mut ns_app_stats_t, size: usize) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands; the struct has only fields of one size.
        let out = unsafe { OutStruct::new(out, size) }?;
        // SAFETY: as above.
        out.put(&unsafe { handle_of(app) }?.app.stats().into());
        Ok(())
    })
}
