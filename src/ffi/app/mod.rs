//! `ns_app`: the endpoint in a program.

// In the order that they have in the header.
mod send;

mod key;

mod receive;

mod callbacks;

mod stats;

pub use callbacks::*;
pub use key::*;
pub use receive::*;
pub use send::*;
pub use stats::*;

use std::ffi::{c_char, c_int, c_void, CString};
use std::ptr::NonNull;

use super::counted::{Counted, HandleRef};
use super::free_guard::FreeGuard;
use super::{
    held, ns_kind, ns_link, ns_opt, ns_presence, ns_state, ns_status, status, text, timeout, value, Out, NS_LINK_IDLE,
};
use crate::runtime::thread::NotCancelled;
use crate::{App, AppOption, AppText, Error, Result, Status};

/// An app: the endpoint in a program. It has an identity, connects to a hub, and sends and receives
/// states. It reconnects by itself, indefinitely, and keeps what is sent meanwhile.
///
/// Threads: every function may be called from any thread, several at once. Lifetime: from
/// ns_app_new to ns_app_free.
pub struct ns_app {
    _opaque: [u8; 0],
}

/// What is behind an `ns_app`.
pub(super) struct Behind {
    app: App,
    identity: CString,
    pub(super) guard: FreeGuard<App>,
}

/// Gets a state. The state is borrowed for the call: ns_state_ref keeps it.
///
/// Runs where callbacks run (see the top of this file).
pub type ns_state_fn = Option<unsafe extern "C" fn(app: *mut ns_app, state: *const ns_state, ctx: *mut c_void)>;

/// A function that ns_app_on has set: a number of the app's, and not 0.
pub type ns_handler = u64;

/// Is told that a function of ns_app_on, which has this `ctx`, runs no more: `ctx` may be freed.
pub type ns_destroy_fn = Option<unsafe extern "C" fn(ctx: *mut c_void)>;

/// Gets a state of ns_app_each. The state is borrowed for the call: ns_state_ref keeps it. True goes on
/// to the next, false ends the walk.
///
/// Runs inside ns_app_each.
pub type ns_each_state_fn =
    Option<unsafe extern "C" fn(app: *mut ns_app, state: *const ns_state, ctx: *mut c_void) -> bool>;

/// Called for each change of the link and, as long as there is none, for each new reason: once, not
/// with every attempt. `why` is NS_OK, or what broke or prevents the link; `text` is the reason, ""
/// if there is nothing to say; `text` is borrowed for the call.
///
/// Runs where callbacks run (see the top of this file).
pub type ns_link_fn = Option<
    unsafe extern "C" fn(app: *mut ns_app, link: ns_link, why: ns_status, text: *const c_char, ctx: *mut c_void),
>;

/// Called for a state that was not delivered because its kind is not in the mask of ns_app_set_accept.
/// `sender` and `name` are borrowed for the call.
///
/// Runs where callbacks run (see the top of this file).
pub type ns_reject_fn = Option<
    unsafe extern "C" fn(app: *mut ns_app, sender: *const c_char, name: *const c_char, kind: ns_kind, ctx: *mut c_void),
>;

/// Called when the hub has sent everything that it held and that the app asked for.
///
/// Runs where callbacks run (see the top of this file).
pub type ns_synced_fn = Option<unsafe extern "C" fn(app: *mut ns_app, ctx: *mut c_void)>;

/// Called for another app: what happened to it. `identity` is borrowed for the call, as is `instance`:
/// 16 bytes that tell it from others with that identity, at the same time or before and after.
///
/// Runs where callbacks run (see the top of this file).
pub type ns_presence_fn = Option<
    unsafe extern "C" fn(
        app: *mut ns_app,
        event: ns_presence,
        identity: *const c_char,
        instance: *const u8,
        ctx: *mut c_void,
    ),
>;

/// Gets another app of ns_app_peers: its identity and the 16 bytes of its instance, borrowed for the
/// call, and whether it is suspect. True goes on to the next, false ends the walk.
///
/// Runs inside ns_app_peers.
pub type ns_app_peer_fn = Option<
    unsafe extern "C" fn(
        app: *mut ns_app,
        identity: *const c_char,
        instance: *const u8,
        suspect: bool,
        ctx: *mut c_void,
    ) -> bool,
>;

/// Called for a sender whose values may be stale now (ns_app_is_stale), or no longer: for all senders
/// if `sender` is NULL. `sender` is borrowed for the call.
///
/// Runs where callbacks run (see the top of this file).
pub type ns_stale_fn = Option<unsafe extern "C" fn(app: *mut ns_app, sender: *const c_char, ctx: *mut c_void)>;

/// The option with a number.
fn option(number: ns_opt) -> Result<AppOption> {
    AppOption::from_code(number).ok_or_else(|| super::invalid(format!("{number} is not an option of an app")))
}

/// What is behind an app pointer, for the time of a call.
///
/// # Safety
/// `app` is NULL or not freed when the call begins.
pub(super) unsafe fn handle_of(app: *const ns_app) -> Result<HandleRef<Behind>> {
    // SAFETY: as the caller promises: `ns_app_new` made it.
    unsafe { held(app.cast::<Counted<Behind>>(), "app") }
}

/// Runs a call that waits or runs callbacks: the handle may be freed meanwhile, by another thread or by the callback
/// itself.
///
/// # Safety
/// `app` is NULL or not freed when the call begins.
pub(super) unsafe fn waiting<T>(app: *const ns_app, call: impl FnOnce(&App) -> Result<T>) -> Result<T> {
    // SAFETY: as the caller promises.
    let handle = unsafe { handle_of(app) }?;
    let outcome = call(&handle.app);
    match handle.guard.ended() {
        true => Err(Error::from(Status::Closed)),
        false => outcome,
    }
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

/// Sets an option whose value is a text, an NS_OPT_ number from 51 to 100, for the next ns_app_connect.
/// NULL: the variable of the environment counts, as at first. The text is copied.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `app` is NULL, or an option that is not a text of apps
/// - NS_ERR_UTF8: `value` is not UTF-8
/// - NS_ERR_STATE: the app is connecting or connected
/// - NS_ERR_CLOSED: the app is closed
#[no_mangle]
pub unsafe extern "C" fn ns_app_set_text(app: *mut ns_app, option: ns_opt, value: *const c_char) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(app) }?;
        // SAFETY: as above.
        let value = (!value.is_null()).then(|| unsafe { text(value, "value") }).transpose()?;
        let option = AppText::from_code(option)
            .ok_or_else(|| super::invalid(format!("{option} is not an option of an app that is a text")))?;
        handle.app.set_text(option, value)
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

/// Connects to the hub at `url`, "tcp://127.0.0.1:15000", "ipc:///run/hub", "inproc://name", or
/// "ws://127.0.0.1:15001/ws", which may lead through a web server. NULL: the environment variable
/// NANOSTATE_URL, else NS_DEFAULT_URL. Several addresses of one hub are separated by commas and tried
/// in order; a comma that no URL follows is part of a path or name.
/// "ipc://run/hub" is a path from the present working directory, whatever that is later. With
/// "tls+tcp://hub.example:15443" or "wss://hub.example/ws" the connection is encrypted, and the hub is
/// one that NS_OPT_TLS_CA and NS_OPT_TLS_PIN let the app trust; the file is read here.
///
/// Returns at once; connecting goes on in the background, indefinitely, even if there is no hub yet.
/// ns_app_wait_connected waits for it, ns_link_fn is called for it. Any thread.
///
/// - NS_ERR_URL: `url` is malformed
/// - NS_ERR_UTF8: `url` is not UTF-8
/// - NS_ERR_UNSUPPORTED: this build does not have that transport
/// - NS_ERR_TLS: TLS, and neither NS_OPT_TLS_CA nor NS_OPT_TLS_PIN is set, or the file is wrong
/// - NS_ERR_NOT_FOUND, NS_ERR_PERMISSION: the file of NS_OPT_TLS_CA
/// - NS_ERR_STATE: the app is connecting or connected: ns_app_disconnect first
/// - NS_ERR_NO_MEMORY, NS_ERR_IO: no memory or threads left for the app's thread
/// - NS_ERR_CLOSED: the app is closed
/// - NS_ERR_INVALID: `app` is NULL, NS_OPT_TLS_PIN is no pin, or NS_OPT_TOKEN no token; or others could
///   read the token on its way, and NS_OPT_CLEAR_TOKEN is not set
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

/// Waits until the hub has welcomed the app: `timeout_ms` milliseconds, -1 forever, 0 only checks.
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

/// Waits until the hub has sent everything that it held and that the app asked for before this call, on
/// the present link. ns_app_get finds it then, whether or not the program has received it; those states
/// are ns_state_retained. Returns NS_OK also when that is nothing, and with an old hub, which holds
/// nothing. `timeout_ms` milliseconds, -1 forever, 0 only checks.
///
/// Blocks. Any thread, but not a callback on the app's own thread.
///
/// - NS_ERR_TIMEOUT: ns_last_error tells why there is no link, if there is none
/// - NS_ERR_UNSUPPORTED: the hub does not say when it has sent what it held
/// - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, which tries again
/// - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
/// - NS_ERR_INTERRUPTED: by ns_app_interrupt
/// - NS_ERR_CLOSED: the app is closed, or was while this waited
/// - NS_ERR_INVALID: `app` is NULL, or `timeout_ms` is below -1
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn ns_app_wait_synced(app: *mut ns_app, timeout_ms: c_int) -> ns_status {
    status(|| {
        let timeout = timeout(timeout_ms, "timeout_ms");
        // SAFETY: the arguments are as the header demands.
        unsafe { waiting(app, |app| app.wait_synced(timeout?)) }
    })
}

/// Waits until the hub has confirmed that it holds, in memory, the newest value of each name that was
/// sent so far, or a newer one. With an old hub: until the values are written to the connection. Under
/// a shared identity (NS_OPT_SHARED) a value counts as held, too, if it gave way to a newer one of
/// another app: the hub sends that one, and ns_app_stats counts the other as superseded. `timeout_ms`
/// milliseconds, -1 forever, 0 only checks.
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

/// Pings the hub, and tells how many nanoseconds the answer took, which comes once the hub has dealt
/// with everything that came before the ping from this app. A ping whose link is lost is not answered.
/// `timeout_ms` milliseconds, -1 forever, also for the link; `*ns` is 0 on failure.
///
/// Blocks. Any thread, but not a callback on the app's own thread.
///
/// - NS_ERR_TIMEOUT: no answer in this time; ns_last_error tells why there is no link, or how long
///   nothing has been heard from the hub
/// - NS_ERR_UNSUPPORTED: an old hub, which answers no pings
/// - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, which tries again
/// - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
/// - NS_ERR_INTERRUPTED: by ns_app_interrupt
/// - NS_ERR_CLOSED: the app is closed, or was while this waited
/// - NS_ERR_INVALID: `app` or `ns` is NULL, or `timeout_ms` is below -1
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn ns_app_ping(app: *mut ns_app, timeout_ms: c_int, ns: *mut i64) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let ns = unsafe { Out::new(ns, 0) }.required("ns")?;
        let timeout = timeout(timeout_ms, "timeout_ms");
        // SAFETY: as above.
        let took = unsafe { waiting(app, |app| app.ping(timeout?)) }?;
        ns.put(took.as_nanos().try_into().unwrap_or(i64::MAX));
        Ok(())
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
/// NS_OPT_LINGER_MS says, 0: not at all) and gives up the link. A call that waits in another thread
/// returns NS_ERR_CLOSED, as does every later one that needs the link. Closing again is a success.
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
            // Calls that are running hold the handle, and let go of it later.
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
