//! The functions of the program that an app calls, and the states for which it calls them.

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use super::super::enter::enter;
use super::super::state::as_raw;
use super::super::{ns_kind, ns_link, ns_presence, ns_status, null, status, text, timeout, Carried, Out};
use super::{
    c_string, handle_of, ns_app, ns_app_peer_fn, ns_destroy_fn, ns_handler, ns_link_fn, ns_presence_fn, ns_reject_fn,
    ns_stale_fn, ns_state_fn, ns_synced_fn, waiting,
};
use crate::{App, Handler, OnLink, OnPresence, OnReject, OnStale, OnState, OnSynced, Status};

/// Closes an app that was freed inside its own callback, which has returned.
fn close(app: App) {
    let _ = app.close(None);
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
                let state = as_raw(state);
                // SAFETY: the app is not freed, the state outlives the call, and the function is as the header demands.
                guard.callback(|| unsafe { enter!(function, shown.get(), state, ctx.get()) }, close);
            })
        });
        // SAFETY: as above.
        unsafe { waiting(app, |app| app.on_state(callback)) }
    })
}

/// Has `function` get the states whose names match `pattern` (`*` is one segment of a name or part of
/// one, `**` any number of segments), until ns_app_off ends it. It is called where the function of
/// ns_app_on_state is, behind that one; those of several matching patterns in the order in which they
/// were set. With the first one states come through ns_app_dispatch (or on the app's own thread), for
/// which all functions of one state count as one callback; a state for which there is no function is
/// left out, and ns_app_recv is NS_ERR_STATE. It gets what comes from now on. It does not subscribe:
/// ns_app_subscribe does. However many patterns there are, a state takes the same time.
///
/// A function may set and end functions, itself too: one that is set in a function does not get the
/// state that this one has. `destroy`, if it is not NULL, is called with `ctx` once `function` has run
/// for the last time: inside ns_app_off, or when the function has returned that called it, or inside
/// ns_app_free. If this fails, it is not called.
///
/// Does not block. Any thread. On failure `*out` is 0.
///
/// - NS_ERR_NAME: `pattern` is none
/// - NS_ERR_UTF8: `pattern` is not UTF-8
/// - NS_ERR_CLOSED: the app is closed
/// - NS_ERR_INVALID: `app`, `pattern`, `function` or `out` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_on(
    app: *mut ns_app,
    pattern: *const c_char,
    function: ns_state_fn,
    ctx: *mut c_void,
    destroy: ns_destroy_fn,
    out: *mut ns_handler,
) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (out, pattern) = unsafe { (Out::new(out, 0), text(pattern, "pattern")) };
        let out = out.required("out")?;
        // SAFETY: as above.
        let handle = unsafe { handle_of(app) }?;
        let (pattern, function) = (pattern?, function.ok_or_else(|| null("function"))?);
        let (guard, shown, is_set) = (handle.guard.clone(), Carried(app), Arc::new(AtomicBool::new(false)));
        let context = Context { ctx: Carried(ctx), destroy, is_set: is_set.clone() };
        let callback: Box<OnState> = Box::new(move |state| {
            let (state, ctx) = (as_raw(state), context.ctx());
            // SAFETY: the app is not freed, the state outlives the call, and the function is as the header demands.
            guard.callback(|| unsafe { enter!(function, shown.get(), state, ctx) }, close);
        });
        let handler = handle.app.on(pattern, callback)?;
        is_set.store(true, Ordering::Release);
        out.put(handler.number());
        Ok(())
    })
}

/// The `ctx` of a function, which ends with it.
struct Context {
    ctx: Carried<c_void>,
    destroy: ns_destroy_fn,
    /// Whether the function was set, so that the program has handed `ctx` over.
    is_set: Arc<AtomicBool>,
}

impl Context {
    /// A method, so that closures capture the whole.
    fn ctx(&self) -> *mut c_void {
        self.ctx.get()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let (Some(destroy), true) = (self.destroy, self.is_set.load(Ordering::Acquire)) {
            // SAFETY: the function is as the header demands.
            unsafe { enter!(destroy, self.ctx.get()) };
        }
    }
}

/// Ends a function of ns_app_on. When it returns, the function is not running and will not run, unless
/// this is called inside it. Waits for a running callback. Any thread.
///
/// - NS_ERR_NOT_FOUND: `handler` was ended before, or is of another app
/// - NS_ERR_INVALID: `app` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_off(app: *mut ns_app, handler: ns_handler) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { waiting(app, |app| app.off(Handler::of_number(handler))) })
}

/// Sets the function for changes of the link; NULL for none. Otherwise as ns_app_on_state, with the
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

/// Sets the function for when the hub has sent everything that it held, as for ns_app_wait_synced; NULL
/// for none. It is called behind the states that came before: on each link, each time the app asked
/// for more, as by ns_app_set_accept, and soon if it is so already. Otherwise as ns_app_on_state, with
/// the same errors.
#[no_mangle]
pub unsafe extern "C" fn ns_app_on_synced(app: *mut ns_app, function: ns_synced_fn, ctx: *mut c_void) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let guard = unsafe { handle_of(app) }?.guard.clone();
        let (shown, ctx) = (Carried(app), Carried(ctx));
        let callback = function.map(|function| -> Box<OnSynced> {
            Box::new(move || {
                // SAFETY: the app is not freed, and the function is as the header demands.
                guard.callback(|| unsafe { enter!(function, shown.get(), ctx.get()) }, close);
            })
        });
        // SAFETY: as above.
        unsafe { waiting(app, |app| app.on_synced(callback)) }
    })
}

/// Sets the function for other apps; NULL for none. It is called for each that is there
/// (NS_PRESENCE_HERE), and then when one comes, leaves, or falls silent; after a reconnect for what
/// has changed. What passed before the function had its turn is not told, and losing the hub is
/// nothing that happened to others. Old programs, observers and clients of gateways are not told of.
/// Otherwise as ns_app_on_state, with the same errors.
#[no_mangle]
pub unsafe extern "C" fn ns_app_on_presence(app: *mut ns_app, function: ns_presence_fn, ctx: *mut c_void) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let guard = unsafe { handle_of(app) }?.guard.clone();
        let (shown, ctx) = (Carried(app), Carried(ctx));
        let callback = function.map(|function| -> Box<OnPresence> {
            Box::new(move |event, peer| {
                let (event, identity) = (event as ns_presence, c_string(&peer.identity));
                let instance = peer.instance.as_ptr();
                guard.callback(
                    // SAFETY: the app is not freed, identity and instance outlive the call, and the function is as the
                    // header demands.
                    || unsafe { enter!(function, shown.get(), event, identity.as_ptr(), instance, ctx.get()) },
                    close,
                );
            })
        });
        // SAFETY: as above.
        unsafe { waiting(app, |app| app.on_presence(callback)) }
    })
}

/// Sets the function for senders whose values may have become stale or fresh; NULL for none. It is
/// called once for all senders when the hub has told which apps are there, on each link, and then
/// for each sender when one of its apps comes or goes. A program that shows values calls
/// ns_app_is_stale for each value that arrives, and again for those of the sender when this function
/// is called. Losing the hub makes no value stale. Otherwise as ns_app_on_state, with the same
/// errors.
#[no_mangle]
pub unsafe extern "C" fn ns_app_on_stale(app: *mut ns_app, function: ns_stale_fn, ctx: *mut c_void) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let guard = unsafe { handle_of(app) }?.guard.clone();
        let (shown, ctx) = (Carried(app), Carried(ctx));
        let callback = function.map(|function| -> Box<OnStale> {
            Box::new(move |sender| {
                let sender = sender.map(c_string);
                let text = sender.as_ref().map_or(std::ptr::null(), |sender| sender.as_ptr());
                // SAFETY: the app is not freed, the text outlives the call, and the function is as the header demands.
                guard.callback(|| unsafe { enter!(function, shown.get(), text, ctx.get()) }, close);
            })
        });
        // SAFETY: as above.
        unsafe { waiting(app, |app| app.on_stale(callback)) }
    })
}

/// Calls `function` for each other app that is there, in the order of their identities. Waits until the
/// hub has told which they are: `timeout_ms` milliseconds, -1 forever, 0 only tries. It is asked the
/// first time, and tells of changes from then on. Apps that were there before a hub was restarted may
/// be on their way back to it, and are among them for 10 s.
///
/// The calls come in this thread, before it returns, until one returns false, which is a success too.
/// `function` may use the app.
///
/// Blocks. Any thread, but not a callback on the app's own thread.
///
/// - NS_ERR_TIMEOUT: ns_last_error tells why there is no link, if there is none
/// - NS_ERR_UNSUPPORTED: the hub does not say which apps are there
/// - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, which tries again
/// - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
/// - NS_ERR_INTERRUPTED: by ns_app_interrupt
/// - NS_ERR_CLOSED: the app is closed, or was while this waited
/// - NS_ERR_INVALID: `app` or `function` is NULL, or `timeout_ms` is below -1
#[no_mangle]
pub unsafe extern "C" fn ns_app_peers(
    app: *mut ns_app,
    timeout_ms: c_int,
    function: ns_app_peer_fn,
    ctx: *mut c_void,
) -> ns_status {
    status(|| {
        let timeout = timeout(timeout_ms, "timeout_ms");
        // SAFETY: the arguments are as the header demands.
        let guard = unsafe { handle_of(app) }?.guard.clone();
        let function = function.ok_or_else(|| null("function"))?;
        // SAFETY: as above.
        for peer in unsafe { waiting(app, |app| app.peers(timeout?)) }? {
            if guard.ended() {
                return Err(Status::Closed.into());
            }
            let (identity, instance) = (c_string(&peer.identity), peer.instance.as_ptr());
            // SAFETY: the app is not freed, identity and instance outlive the call, and the function is as the header
            // demands.
            if !unsafe { enter!(function, app, identity.as_ptr(), instance, peer.is_suspect, ctx) } {
                break;
            }
        }
        Ok(())
    })
}

/// Sets the function for states whose kind is not accepted; NULL for none. Otherwise as
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

/// Takes states of the names that match `pattern` from now on, too: `*` is one segment of a name or
/// part of one, `**` any number of segments. With the first call the app takes those only, for good:
/// what it knows of other names it forgets, and the hub sends no more of them. The hub sends what it
/// holds of a new pattern; ns_app_wait_synced waits for that. NULL: no names, until there is a
/// pattern. An app has at most 1,024 patterns, also over reconnects.
///
/// Does not block. Any thread.
///
/// - NS_ERR_NAME: `pattern` is none
/// - NS_ERR_UTF8: `pattern` is not UTF-8
/// - NS_ERR_FULL: there are 1,024 already
/// - NS_ERR_CLOSED: the app is closed
/// - NS_ERR_INVALID: `app` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_subscribe(app: *mut ns_app, pattern: *const c_char) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(app) }?;
        // SAFETY: as above.
        let pattern = (!pattern.is_null()).then(|| unsafe { text(pattern, "pattern") }).transpose()?;
        handle.app.subscribe(pattern)
    })
}

/// Takes states of the names that match `pattern` no longer, unless another pattern of the app matches.
/// What it knows of them it forgets; what waits to be received is still received.
///
/// Does not block. Any thread.
///
/// - NS_ERR_NOT_FOUND: the app has not subscribed to it in these words
/// - NS_ERR_UTF8: `pattern` is not UTF-8
/// - NS_ERR_CLOSED: the app is closed
/// - NS_ERR_INVALID: `app` or `pattern` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_unsubscribe(app: *mut ns_app, pattern: *const c_char) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(app) }?;
        // SAFETY: as above.
        handle.app.unsubscribe(unsafe { text(pattern, "pattern") }?)
    })
}

/// Takes states of the names that match one of these `count` patterns from now on, and no others: as
/// ns_app_subscribe of those that are new, which the hub is told together, and then ns_app_unsubscribe
/// of those that are not among them. `patterns` may be NULL if `count` is 0. If it fails, nothing has
/// changed.
///
/// Does not block. Any thread.
///
/// - NS_ERR_NAME: one is no pattern
/// - NS_ERR_UTF8: one is not UTF-8
/// - NS_ERR_FULL: there are more than 1,024
/// - NS_ERR_CLOSED: the app is closed
/// - NS_ERR_INVALID: `app`, `patterns` or one of the patterns is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_app_set_subscriptions(
    app: *mut ns_app,
    patterns: *const *const c_char,
    count: usize,
) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(app) }?;
        if patterns.is_null() && count > 0 {
            return Err(null("patterns"));
        }
        // SAFETY: as above: there are so many, and each is NULL or a text.
        let one = |at| unsafe { text(*patterns.add(at), "pattern") };
        let patterns: Vec<&str> = (0..count).map(one).collect::<Result<_, _>>()?;
        handle.app.set_subscriptions(&patterns)
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
