//! What a program gets to know: values that are asked for, and states as they come.

use std::ffi::{c_char, c_int, c_void};

use super::super::enter::enter;
use super::super::state::{as_raw, into_raw, with};
use super::super::{ns_state, ns_status, null, status, text, timeout, value, Out};
use super::{handle_of, ns_app, ns_each_state_fn, waiting};
use crate::pattern::Pattern;
use crate::{Error, Status};

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
        out.put(into_raw(state));
        Ok(())
    })
}

/// Whether a value is stale: the app that set it is gone, or has been restarted and has not set it
/// since. A suspect app is not gone. Values that the hub itself has stamped are not stale while that
/// hub runs: those of old programs and of clients of gateways, and wills.
///
/// The first call makes the app ask the hub which apps are there; ns_app_on_stale tells of changes.
/// Until the hub has told all of them, on each link and for 10 s after it was started, a value
/// becomes stale only if the hub says that its app is gone. Without a hub, and with one that does
/// not tell which apps are there, no value becomes stale. False on failure, too: `app` is closed, or
/// an argument is NULL.
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_app_is_stale(app: *mut ns_app, state: *const ns_state) -> bool {
    value(false, || {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(app) }?;
        // SAFETY: as above.
        unsafe { with(state, |state| Ok(handle.app.is_stale(state))) }
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
            if !unsafe { enter!(function, app, as_raw(&state), ctx) } {
                break;
            }
        }
        Ok(())
    })
}

/// Takes the next state: waits `timeout_ms` milliseconds, -1 forever, 0 only tries. Free `*out` with
/// ns_state_free; on failure it is NULL. Callbacks other than on_state run in here.
///
/// Every state comes, in order, while at most NS_OPT_RECV_QUEUE bytes of them wait. A program that is
/// slower, or pauses, still gets the newest value of every (sender, name), each in the place of the
/// oldest that waited; what it does not get is counted as conflated_in.
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
        out.put(into_raw(state));
        Ok(())
    })
}

/// Runs the callbacks of what has come, in this thread: up to `max` of them, 0 for all. Waits
/// `timeout_ms` milliseconds for the first, -1 forever, 0 only tries.
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
/// anything to take. For level-triggered pollers (not EPOLLET, nor on Linux EPOLLEXCLUSIVE); may be
/// readable without cause. -1 on failure.
///
/// It belongs to the app, is the same for its whole life, and is closed by ns_app_free: never read,
/// write or close it. While the program often takes what it tells of, these calls read the socket, and
/// the app's own thread sleeps; otherwise that thread reads, and wakes the program. Does not block.
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
