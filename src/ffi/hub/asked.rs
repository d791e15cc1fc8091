//! The counters of a hub, for an app that asks for them.

use std::ffi::{c_int, c_void};

use super::super::app::{handle_of, ns_app, waiting};
use super::super::enter::enter;
use super::super::{ns_status, null, status, timeout, OutStruct};
use super::{ns_hub_stats_t, ns_peer_stats_t, ShownPeer};
use crate::Status;

/// Gets a peer of ns_app_each_hub_peer, borrowed for the call. True goes on to the next, false ends the
/// walk.
///
/// Runs inside ns_app_each_hub_peer.
pub type ns_hub_peer_fn =
    Option<unsafe extern "C" fn(app: *mut ns_app, peer: *const ns_peer_stats_t, ctx: *mut c_void) -> bool>;

/// Asks the app's hub for its counters, whether it runs in this program or not. `size` is sizeof
/// *out: fields that the library or the hub does not know are 0, and so are all on failure. Waits
/// for a link and the answer: `timeout_ms` milliseconds, -1 forever; 0 leaves no time for an answer.
/// If the link is lost meanwhile, asks again on the next one.
///
/// Blocks. Any thread, but not a callback on the app's own thread.
///
/// - NS_ERR_TIMEOUT: ns_last_error tells why there is no link, if there is none
/// - NS_ERR_UNSUPPORTED: the hub does not tell
/// - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, which tries again
/// - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
/// - NS_ERR_INTERRUPTED: by ns_app_interrupt
/// - NS_ERR_CLOSED: the app is closed, or was while this waited
/// - NS_ERR_INVALID: `app` or `out` is NULL, `size` is 0, or `timeout_ms` is below -1
#[no_mangle]
pub unsafe extern "C" fn ns_app_hub_stats(
    app: *mut ns_app,
    timeout_ms: c_int,
    out: *mut ns_hub_stats_t,
    size: usize,
) -> ns_status {
    status(|| {
        let timeout = timeout(timeout_ms, "timeout_ms");
        // SAFETY: the arguments are as the header demands; the struct has only fields of one size.
        let out = unsafe { OutStruct::new(out, size) }?;
        // SAFETY: as above.
        let (hub, _) = unsafe { waiting(app, |app| app.hub_stats(timeout?)) }?;
        out.put(&hub.into());
        Ok(())
    })
}

/// Asks the app's hub for the counters of its peers, and then calls `function` for each: apps, this
/// one among them, and old programs, in no particular order. `size` is sizeof(ns_peer_stats_t), as
/// in ns_hub_each_peer. A hub with many peers sends their counters in several messages, so that they
/// are not all of one moment. `from` is empty if the hub lets this app only read. Waits as
/// ns_app_hub_stats, before the first call.
///
/// The calls come in this thread, before it returns, until one returns false, which is a success too.
/// `function` may use the app.
///
/// Blocks. Any thread, but not a callback on the app's own thread.
///
/// - NS_ERR_TIMEOUT: ns_last_error tells why there is no link, if there is none
/// - NS_ERR_UNSUPPORTED: the hub does not tell
/// - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, which tries again
/// - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
/// - NS_ERR_INTERRUPTED: by ns_app_interrupt
/// - NS_ERR_CLOSED: the app is closed, or was while this waited
/// - NS_ERR_INVALID: `app` or `function` is NULL, `size` is 0 or above 65536, or `timeout_ms` is below
///   -1
#[no_mangle]
pub unsafe extern "C" fn ns_app_each_hub_peer(
    app: *mut ns_app,
    timeout_ms: c_int,
    function: ns_hub_peer_fn,
    ctx: *mut c_void,
    size: usize,
) -> ns_status {
    status(|| {
        let timeout = timeout(timeout_ms, "timeout_ms");
        // SAFETY: the arguments are as the header demands.
        let guard = unsafe { handle_of(app) }?.guard.clone();
        let function = function.ok_or_else(|| null("function"))?;
        let mut shown = ShownPeer::new(size)?;
        // SAFETY: as above.
        let (_, peers) = unsafe { waiting(app, |app| app.hub_stats(timeout?)) }?;
        for stats in peers {
            let peer = shown.put(stats);
            if guard.ended() {
                return Err(Status::Closed.into());
            }
            // SAFETY: the app is not freed, the struct outlives the call, and the function is as the header demands.
            if !unsafe { enter!(function, app, peer, ctx) } {
                break;
            }
        }
        Ok(())
    })
}
