//! `ns_hub`: the process, or the object inside one, that forwards states.

mod asked;
mod stats;

use std::ffi::{c_char, c_void, CString};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::asked::*;
pub use self::stats::*;
use super::counted::{Counted, HandleRef};
use super::enter::enter;
use super::free_guard::FreeGuard;
use super::{held, ns_opt, ns_peer_event, ns_status, null, status, text, value, Carried, Out, OutStruct};
use crate::{Hub, HubOption, HubText, OnPeer, Result, Status};

/// A hub: forwards every state to the other apps, and keeps the newest of each key for those who come
/// later. A program may have several, and apps beside them.
///
/// Threads: every function may be called from any thread, several at once. Lifetime: from
/// ns_hub_new to ns_hub_free. Hubs and apps may be freed in any order.
pub struct ns_hub {
    _opaque: [u8; 0],
}

/// What is behind an `ns_hub`.
struct Behind {
    hub: Arc<Hub>,
    /// What `ns_hub_address` has handed out; only ever appended to, so that the texts stay.
    addresses: Mutex<Vec<CString>>,
    guard: FreeGuard<Arc<Hub>>,
}

/// Called for a peer of the hub: `identity` is its identity ("" if it is not known yet or never told),
/// `from` where it comes from, `event` an NS_PEER_ number, `why` NS_OK or the reason. Both strings are
/// borrowed for the call.
///
/// Runs on the hub's own thread, which serves no peer meanwhile (apps of this process may be served by
/// their own): return soon.
pub type ns_peer_fn = Option<
    unsafe extern "C" fn(
        hub: *mut ns_hub,
        identity: *const c_char,
        from: *const c_char,
        event: ns_peer_event,
        why: ns_status,
        ctx: *mut c_void,
    ),
>;

/// Gets a peer of ns_hub_each_peer, borrowed for the call. True goes on to the next, false ends the
/// walk.
///
/// Runs inside ns_hub_each_peer.
pub type ns_each_peer_fn =
    Option<unsafe extern "C" fn(hub: *mut ns_hub, peer: *const ns_peer_stats_t, ctx: *mut c_void) -> bool>;

/// The option with a number.
fn option(number: ns_opt) -> Result<HubOption> {
    HubOption::from_code(number).ok_or_else(|| super::invalid(format!("{number} is not an option of a hub")))
}

/// What is behind a hub pointer, for the time of a call.
///
/// # Safety
/// `hub` is NULL or not freed when the call begins.
unsafe fn handle_of(hub: *const ns_hub) -> Result<HandleRef<Behind>> {
    // SAFETY: as the caller promises: `ns_hub_new` made it.
    unsafe { held(hub.cast::<Counted<Behind>>(), "hub") }
}

/// Makes a hub. It listens nowhere until ns_hub_listen. Free `*out` with ns_hub_free.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `out` is NULL
/// - NS_ERR_NO_MEMORY, NS_ERR_IO: no memory, descriptors or threads left
#[no_mangle]
pub unsafe extern "C" fn ns_hub_new(out: *mut *mut ns_hub) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let out = unsafe { Out::new(out, ptr::null_mut()) }.required("out")?;
        let behind = Behind { hub: Arc::new(Hub::new()?), addresses: Mutex::default(), guard: FreeGuard::new() };
        out.put(Counted::new(behind).cast());
        Ok(())
    })
}

/// Sets an option, an NS_OPT_HUB_ number. Before ns_hub_listen.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: NULL, an option that hubs do not have, or a value that it cannot take
/// - NS_ERR_STATE: the hub listens already
#[no_mangle]
pub unsafe extern "C" fn ns_hub_set(hub: *mut ns_hub, option: ns_opt, value: i64) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(hub) }?;
        handle.hub.set(self::option(option)?, value)
    })
}

/// Sets an option whose value is a text, an NS_OPT_HUB_ number from 151 on; NULL: none. Before
/// ns_hub_listen; the certificate and its key at the latest before that at the first address with TLS,
/// or before ns_hub_reload. The text is copied.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `hub` is NULL, or an option that is not a text of hubs
/// - NS_ERR_UTF8: `value` is not UTF-8
/// - NS_ERR_STATE: NS_OPT_HUB_TOKEN_FILE, and the hub listens already
#[no_mangle]
pub unsafe extern "C" fn ns_hub_set_text(hub: *mut ns_hub, option: ns_opt, value: *const c_char) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(hub) }?;
        // SAFETY: as above.
        let value = (!value.is_null()).then(|| unsafe { text(value, "value") }).transpose()?;
        let option = HubText::from_code(option)
            .ok_or_else(|| super::invalid(format!("{option} is not an option of a hub that is a text")))?;
        handle.hub.set_text(option, value)
    })
}

/// Keeps what the hub holds in this directory, too, and begins with what is kept there; before
/// ns_hub_listen, and after the options of the table. The directory is made if it is not there, and
/// belongs to one hub at a time. What a peer has sent is there within 100 ms unless the disk is slow;
/// nothing waits for it. When the program is killed, a hub that is made anew with the directory has
/// it, as states of senders that have departed. If the disk is full, or the like, the log says so,
/// store_failed of ns_hub_stats_t counts it, and all that the hub still holds is written later.
///
/// The library has this only if it was built with the cargo feature capi-store, since it is much
/// larger with it; `nanostate hub --store` is always there.
///
/// Reads files, which may take seconds if there is much in them. Any thread.
///
/// - NS_ERR_INVALID: NULL
/// - NS_ERR_UTF8: `directory` is not UTF-8
/// - NS_ERR_IN_USE: another hub has the directory
/// - NS_ERR_PERMISSION, NS_ERR_NOT_FOUND, NS_ERR_IO: it cannot be made, read or written
/// - NS_ERR_STATE: the hub listens already, or has a store
/// - NS_ERR_UNSUPPORTED: the library was built without stores
#[no_mangle]
pub unsafe extern "C" fn ns_hub_set_store(hub: *mut ns_hub, directory: *const c_char) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (handle, directory) = unsafe { (handle_of(hub)?, text(directory, "directory")?) };
        set_store(&handle.hub, directory)
    })
}

#[cfg(feature = "capi-store")]
fn set_store(hub: &Hub, directory: &str) -> Result<()> {
    hub.set_store(directory)
}

/// The command may have stores, and nothing of them is to be linked into the library.
#[cfg(not(feature = "capi-store"))]
fn set_store(hub: &Hub, _directory: &str) -> Result<()> {
    hub.peers()?; // Unless it cannot be used at all.
    Err(crate::Error::new(
        Status::Unsupported,
        "this build of the library has no stores: it needs the feature capi-store",
    ))
}

/// Reads the files of NS_OPT_HUB_TLS_CERT, NS_OPT_HUB_TLS_KEY and NS_OPT_HUB_TOKEN_FILE again. New
/// connections are shown the certificate that is there now; those that exist are not affected. Peers
/// whose token is not there any more, or has other rights, are refused. If there is something wrong
/// with a file, nothing changes.
///
/// Reads files. Any thread.
///
/// - NS_ERR_TLS: something is wrong with the certificate or its key: not PEM, expired, not valid yet,
///   a key that does not fit the certificate
/// - NS_ERR_NOT_FOUND, NS_ERR_PERMISSION, NS_ERR_UTF8, NS_ERR_IO: a file cannot be read
/// - NS_ERR_STATE: the hub has no address with TLS, and asks for no tokens
/// - NS_ERR_INVALID: NULL, NS_OPT_HUB_TLS_CERT is no longer set, or something is wrong with the tokens
#[no_mangle]
pub unsafe extern "C" fn ns_hub_reload(hub: *mut ns_hub) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe { handle_of(hub) }?.hub.reload())
}

/// Lets web pages of this origin, `https://example.org` or `http://localhost:8000`, connect to the
/// WebSockets of this hub, read and publish; once for each origin, before ns_hub_listen. Pages that
/// the hub did not serve may not connect otherwise, and those of this machine only read.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: NULL, or not an origin
/// - NS_ERR_STATE: the hub listens already
#[no_mangle]
pub unsafe extern "C" fn ns_hub_allow_origin(hub: *mut ns_hub, origin: *const c_char) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (handle, origin) = unsafe { (handle_of(hub)?, text(origin, "origin")?) };
        handle.hub.allow_origin(origin)
    })
}

/// Reads an option: what was set, else its default.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: NULL, or an option that hubs do not have
#[no_mangle]
pub unsafe extern "C" fn ns_hub_option(hub: *const ns_hub, option: ns_opt, out: *mut i64) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let out = unsafe { Out::new(out, 0) }.required("out")?;
        // SAFETY: as above.
        let handle = unsafe { handle_of(hub) }?;
        out.put(handle.hub.option(self::option(option)?)?);
        Ok(())
    })
}

/// Listens at `url`: "tcp://127.0.0.1:15000", "ipc:///run/hub", "inproc://name". The host "*" is every
/// interface, port 0 any free one. Any number of times; returns once bound.
///
/// "tls+tcp://0.0.0.0:15443" is tcp with TLS 1.3, by the certificate of NS_OPT_HUB_TLS_CERT. At
/// "ws://127.0.0.1:15001/ws" browsers connect, too, as far as ns_hub_allow_origin and
/// NS_OPT_HUB_ALLOW_LOCAL_PAGES let their pages in; "wss://" is the same with TLS.
///
/// If NS_OPT_HUB_TOKEN_FILE is set, apps have to name a token, and nobody else is let in unless
/// NS_OPT_HUB_READ_WITHOUT_TOKEN is set. The file is read at the first listen.
///
/// Behind "pub+", "pull+", "rep+" or "respondent+" the URL is that of a gateway, for nanomsg and NNG
/// programs that speak another scalability protocol, see docs/gateways.md. At "ws://" they are served
/// beside apps.
///
/// Blocks while a host name is resolved. Any thread.
///
/// - NS_ERR_URL, NS_ERR_UTF8: `url` is malformed, or not UTF-8
/// - NS_ERR_UNSUPPORTED: this build does not have that transport
/// - NS_ERR_IN_USE: something else listens there
/// - NS_ERR_RESOLVE: the host name could not be resolved
/// - NS_ERR_PERMISSION: the system denies it
/// - NS_ERR_NOT_FOUND, NS_ERR_IO: the directory is missing; any other failure of the system
/// - NS_ERR_TLS, NS_ERR_NOT_FOUND: the certificate or its key is wrong, as of ns_hub_reload
/// - NS_ERR_CLOSED: the hub was freed meanwhile
/// - NS_ERR_INVALID: NULL; TLS and NS_OPT_HUB_TLS_CERT is not set; something is wrong with the tokens;
///   or others could read them on their way, and NS_OPT_HUB_CLEAR_TOKENS is not set
#[no_mangle]
pub unsafe extern "C" fn ns_hub_listen(hub: *mut ns_hub, url: *const c_char) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (handle, url) = unsafe { (handle_of(hub)?, text(url, "url")?) };
        let outcome = handle.hub.listen(url);
        match handle.guard.ended() {
            true => Err(Status::Closed.into()),
            false => outcome,
        }
    })
}

/// Where the hub really listens, in the order of ns_hub_listen: the URL with the port that the system
/// chose for port 0, and with an absolute path. NULL past the end, and for a NULL hub.
///
/// The text belongs to the hub and is valid until ns_hub_free. Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_hub_address(hub: *const ns_hub, i: usize) -> *const c_char {
    value(ptr::null(), || {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(hub) }?;
        let mut addresses = handle.addresses.lock();
        while addresses.len() <= i {
            match handle.hub.address(addresses.len()) {
                Some(address) => addresses.push(CString::new(address).unwrap_or_default()),
                None => return Ok(ptr::null()),
            }
        }
        Ok(addresses[i].as_ptr())
    })
}

/// Sets the function for events of peers; NULL for none.
///
/// When it returns, the previous function is not running and will not run, unless this is called inside
/// it. `ctx` is passed to it and otherwise left alone. Waits for a running call. Any thread.
///
/// - NS_ERR_INVALID: `hub` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_hub_on_peer(hub: *mut ns_hub, function: ns_peer_fn, ctx: *mut c_void) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(hub) }?;
        let (guard, shown, ctx) = (handle.guard.clone(), Carried(hub), Carried(ctx));
        let callback = function.map(|function| -> Box<OnPeer> {
            Box::new(move |identity, from, event, why, _text| {
                let text = |text: &str| CString::new(text.replace('\0', "")).unwrap_or_default();
                let (identity, from) = (text(identity), text(from));
                let (event, why) = (event as ns_peer_event, why.code());
                guard.callback(
                    // SAFETY: the hub is not freed, the strings outlive the call, and the function is as the header
                    // demands.
                    || unsafe {
                        enter!(function, shown.get(), identity.as_ptr(), from.as_ptr(), event, why, ctx.get())
                    },
                    drop,
                );
            })
        });
        handle.hub.on_peer(callback)
    })
}

/// Reads the counters. `size` is sizeof *out: fields that the library does not know are 0, and so are
/// all on failure.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `hub` or `out` is NULL, or `size` is 0
#[no_mangle]
pub unsafe extern "C" fn ns_hub_stats(hub: *const ns_hub, out: *mut ns_hub_stats_t, size: usize) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands; the struct has only fields of one size.
        let out = unsafe { OutStruct::new(out, size) }?;
        // SAFETY: as above.
        out.put(&unsafe { handle_of(hub) }?.hub.stats().into());
        Ok(())
    })
}

/// Calls `function` for each peer that takes part, with its counters. All are read at one moment,
/// before the first call: each peer is shown once, even while peers come and go. They come in no
/// particular order. `size` is sizeof(ns_peer_stats_t), as in ns_hub_stats.
///
/// The calls come in this thread, before it returns, until one returns false, which is a success too.
/// `function` may use the hub. Does not wait for others. Any thread.
///
/// - NS_ERR_CLOSED: the hub was freed during the walk
/// - NS_ERR_INVALID: `hub` or `function` is NULL, or `size` is 0 or above 65536
#[no_mangle]
pub unsafe extern "C" fn ns_hub_each_peer(
    hub: *mut ns_hub,
    function: ns_each_peer_fn,
    ctx: *mut c_void,
    size: usize,
) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let handle = unsafe { handle_of(hub) }?;
        let function = function.ok_or_else(|| null("function"))?;
        let mut shown = ShownPeer::new(size)?;
        for stats in handle.hub.peers()? {
            let peer = shown.put(stats);
            if handle.guard.ended() {
                return Err(Status::Closed.into());
            }
            // SAFETY: the hub is not freed, the struct outlives the call, and the function is as the header demands.
            if !unsafe { enter!(function, hub, peer, ctx) } {
                break;
            }
        }
        Ok(())
    })
}

/// Frees a hub: closes its listeners and peers and ends its thread. The apps reconnect as soon as
/// there is another hub, and announce their states to it. NULL is ignored.
///
/// When it returns, its function of ns_hub_on_peer does not run and will not run. Blocks until the
/// thread has ended; inside that function, the thread ends after it returns. Calls that run in other
/// threads end safely; no new one may be started. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_hub_free(hub: *mut ns_hub) {
    let Some(handle) = NonNull::new(hub.cast::<Counted<Behind>>()) else { return };
    value((), || {
        // SAFETY: made by `ns_hub_new`, as the header demands.
        let Some(behind) = (unsafe { Counted::free(handle) }) else { return Ok(()) };
        if let Some(hub) = behind.guard.end(behind.hub.clone()) {
            // Waits for a callback that is running.
            hub.close();
        }
        Ok(())
    });
}

#[cfg(all(test, feature = "capi-store"))]
mod tests {
    use super::*;

    #[test]
    fn a_hub_with_the_store_of_an_earlier_one_holds_what_that_held() {
        use crate::ffi::app::{ns_app_connect, ns_app_flush, ns_app_free, ns_app_new, ns_app_send_int};

        let directory = std::env::temp_dir().join(format!("ns-{}-capi-store", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let text = std::ffi::CString::new(directory.to_str().unwrap()).unwrap();
        let url = c"inproc://capi-store".as_ptr();
        let (mut hub, mut app) = (ptr::null_mut(), ptr::null_mut());
        let ok = |status: ns_status| assert_eq!(status, Status::Ok.code());
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stats = std::mem::MaybeUninit::<ns_hub_stats_t>::uninit();
            // SAFETY: handles that were made here, texts that live long enough, and room for the counters.
            unsafe {
                ok(ns_hub_new(&mut hub));
                ok(ns_hub_set_store(hub, text.as_ptr()));
                ok(ns_hub_stats(hub, stats.as_mut_ptr(), size_of::<ns_hub_stats_t>()));
                held.push(stats.assume_init().states);
                ok(ns_hub_listen(hub, url));
                ok(ns_app_new(c"a".as_ptr(), &mut app));
                ok(ns_app_connect(app, url));
                ok(ns_app_send_int(app, c"n".as_ptr(), 1));
                ok(ns_app_flush(app, -1));
                ns_app_free(app);
                ns_hub_free(hub);
            }
        }
        assert_eq!(held, [0, 1]);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
