//! `ns_state`: a received state.
//!
//! An `ns_state *` is the thin pointer of a reference count: it is never dereferenced as an [`ns_state`], only turned
//! back into the [`State`] that it came from.

use std::ffi::{c_char, c_void};
use std::mem::ManuallyDrop;
use std::ptr;

use triomphe::ThinArc;

use super::{ns_kind, ns_status, ns_value, null, status, text, value, Out};
use crate::pattern::Pattern;
use crate::{Result, State};

/// A state: who sent it, its name, and its value. It never changes.
///
/// Threads: every function may be called from any thread, several at once. Lifetime: a reference
/// count. Each ns_app_recv and ns_state_ref is answered by one ns_state_free; a state may outlive
/// its app. What the functions below point to belongs to the state and lives as long.
pub struct ns_state {
    _opaque: [u8; 0],
}

/// Hands a reference over to C.
pub(super) fn into_raw(state: State) -> *mut ns_state {
    ThinArc::into_raw(state.into_arc()).cast_mut().cast()
}

/// Shows a state to C without a reference of its own.
pub(super) fn as_raw(state: &State) -> *const ns_state {
    // SAFETY: the copy is never dropped, so the count stays right, and is gone before `state` can be.
    let copy = unsafe { ptr::read(state) };
    ManuallyDrop::new(copy.into_arc()).as_ptr().cast()
}

/// Takes a reference back.
///
/// # Safety
/// `state` came from [`into_raw`] and that reference has not been taken back.
unsafe fn from_raw(state: *const ns_state) -> State {
    // SAFETY: as the caller promises.
    State::from_arc(unsafe { ThinArc::from_raw(state.cast()) })
}

/// Lends a state for one call.
///
/// # Safety
/// `state` is NULL or not freed meanwhile.
pub(super) unsafe fn with<T>(state: *const ns_state, read: impl FnOnce(&State) -> Result<T>) -> Result<T> {
    if state.is_null() {
        return Err(null("state"));
    }
    // SAFETY: the caller keeps its reference; this one is never dropped, so the count stays right.
    let state = ManuallyDrop::new(unsafe { from_raw(state) });
    read(&state)
}

/// Writes what an accessor found.
///
/// # Safety
/// `state` is NULL or not freed meanwhile; `out` is NULL or valid for writes.
unsafe fn read<T: Default>(
    state: *const ns_state,
    out: *mut T,
    accessor: impl FnOnce(&State) -> Result<T>,
) -> ns_status {
    status(|| {
        // SAFETY: as the caller promises.
        let out = unsafe { Out::new(out, T::default()) }.required("out")?;
        // SAFETY: as the caller promises.
        out.put(unsafe { with(state, accessor) }?);
        Ok(())
    })
}

/// Writes the pointer and length of what an accessor found.
///
/// # Safety
/// `state` is NULL or not freed meanwhile; `out` and `len` are NULL or valid for writes.
unsafe fn read_slice<T>(
    state: *const ns_state,
    (out, safe, what): (*mut *const T, *const T, &str),
    (len, len_required): (*mut usize, bool),
    accessor: impl FnOnce(&State) -> Result<(*const T, usize)>,
) -> Result<()> {
    // SAFETY: as the caller promises.
    let (out, len) = unsafe { (Out::new(out, safe), Out::new(len, 0)) };
    let out = out.required(what)?;
    let len = if len_required { len.required("len")? } else { len };
    // SAFETY: as the caller promises.
    let (found, found_len) = unsafe { with(state, accessor) }?;
    out.put(found);
    len.put(found_len);
    Ok(())
}

/// The identity of the app that sent it; "" for NULL. The text belongs to the state.
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_state_sender(state: *const ns_state) -> *const c_char {
    // SAFETY: the arguments are as the header demands.
    value(c"".as_ptr(), || unsafe { with(state, |state| Ok(state.sender_c().as_ptr())) })
}

/// Its name; "" for NULL. The text belongs to the state.
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_state_name(state: *const ns_state) -> *const c_char {
    // SAFETY: the arguments are as the header demands.
    value(c"".as_ptr(), || unsafe { with(state, |state| Ok(state.name_c().as_ptr())) })
}

/// Whether its name matches `pattern`: `*` is one segment of a name or part of one, `**` any number of
/// segments. False for NULL, and for a pattern that is empty, too long or not UTF-8 (ns_last_error).
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_state_matches(state: *const ns_state, pattern: *const c_char) -> bool {
    value(false, || {
        // SAFETY: the arguments are as the header demands.
        let pattern = Pattern::new(unsafe { text(pattern, "pattern") }?)?;
        // SAFETY: as above.
        unsafe { with(state, |state| Ok(pattern.matches(state.name()))) }
    })
}

/// When it was sent, in milliseconds since 1970; 0 if that is not known, and for NULL.
///
/// It is the time of the hub, which orders the values of all apps and never goes back. Where clocks are
/// wrong it follows the one that is furthest ahead; an app that means harm can push it forward.
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_state_time(state: *const ns_state) -> i64 {
    // SAFETY: the arguments are as the header demands.
    value(0, || unsafe { with(state, |state| Ok(state.time())) })
}

/// Whether the hub held it already and handed it out, because the app joined or asked for more: it may
/// be of any age. Otherwise it was published while the app was there; so is all that comes through an
/// old hub. false for NULL.
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_state_retained(state: *const ns_state) -> bool {
    // SAFETY: the arguments are as the header demands.
    value(false, || unsafe { with(state, |state| Ok(state.retained())) })
}

/// What it holds, an NS_KIND_ number, as it was sent; 0 for NULL.
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_state_kind(state: *const ns_state) -> ns_kind {
    // SAFETY: the arguments are as the header demands.
    value(0, || unsafe { with(state, |state| Ok(state.kind() as ns_kind)) })
}

/// Reads text, NUL-terminated, and its length without that NUL; `len` may be NULL. Reads bytes too if
/// they are valid UTF-8, because the original nanostate sends its text as bytes.
///
/// `*text` belongs to the state; on failure it is "" and `*len` 0. Does not block. Any thread.
///
/// - NS_ERR_KIND: neither text nor bytes that are UTF-8
/// - NS_ERR_INVALID: `state` or `text` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_text(state: *const ns_state, text: *mut *const c_char, len: *mut usize) -> ns_status {
    let text = (text, c"".as_ptr(), "text");
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe {
        read_slice(state, text, (len, false), |state| {
            let with_nul = state.text_c()?;
            Ok((with_nul.as_ptr().cast(), with_nul.len() - 1))
        })
    })
}

/// Reads bytes.
///
/// `*data` belongs to the state; on failure it is NULL and `*len` 0. Does not block. Any thread.
///
/// - NS_ERR_KIND: not bytes
/// - NS_ERR_INVALID: `state`, `data` or `len` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_bytes(
    state: *const ns_state,
    data: *mut *const c_void,
    len: *mut usize,
) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe {
        read_slice(state, (data, ptr::null(), "data"), (len, true), |state| {
            let bytes = state.bytes()?;
            Ok((bytes.as_ptr().cast(), bytes.len()))
        })
    })
}

/// Reads true or false; false on failure. Does not block. Any thread.
///
/// - NS_ERR_KIND: not a bool
/// - NS_ERR_INVALID: NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_bool(state: *const ns_state, out: *mut bool) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    unsafe { read(state, out, State::bool) }
}

/// Reads any number that an int64_t holds exactly: 20.0 is 20, because JavaScript sends 20 for 20.0.
/// 0 on failure. Does not block. Any thread.
///
/// - NS_ERR_RANGE: a number that does not fit
/// - NS_ERR_KIND: not a number
/// - NS_ERR_INVALID: NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_int(state: *const ns_state, out: *mut i64) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    unsafe { read(state, out, State::int) }
}

/// Reads any number that a uint64_t holds exactly. 0 on failure. Does not block. Any thread.
///
/// - NS_ERR_RANGE: a number that does not fit
/// - NS_ERR_KIND: not a number
/// - NS_ERR_INVALID: NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_uint(state: *const ns_state, out: *mut u64) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    unsafe { read(state, out, State::uint) }
}

/// Reads any number that a double holds exactly. 0 on failure. Does not block. Any thread.
///
/// - NS_ERR_RANGE: a number that does not fit
/// - NS_ERR_KIND: not a number
/// - NS_ERR_INVALID: NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_double(state: *const ns_state, out: *mut f64) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    unsafe { read(state, out, State::double) }
}

/// Reads a MessagePack extension: its number and its bytes.
///
/// `*data` belongs to the state; on failure it is NULL, `*type` and `*len` 0. Does not block. Any
/// thread.
///
/// - NS_ERR_KIND: not an extension
/// - NS_ERR_INVALID: NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_ext(
    state: *const ns_state,
    r#type: *mut i8,
    data: *mut *const c_void,
    len: *mut usize,
) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    let (number, data) = unsafe { (Out::new(r#type, 0), (data, ptr::null(), "data")) };
    // SAFETY: as above.
    status(|| unsafe {
        let number = number.required("type");
        read_slice(state, data, (len, true), |state| {
            let (found, bytes) = state.ext()?;
            number?.put(found);
            Ok((bytes.as_ptr().cast(), bytes.len()))
        })
    })
}

/// Reads a time, in any of the forms that MessagePack has for one: the milliseconds since 1970 in UTC
/// that have passed, negative before it, and the nanoseconds behind these, 0 to 999999. `ns` may be
/// NULL; then they are cut off. Both are 0 on failure. Does not block. Any thread.
///
/// - NS_ERR_KIND: not a time; other extensions than MessagePack's for times are none
/// - NS_ERR_RANGE: more than 292 million years from 1970, so that the milliseconds do not fit
/// - NS_ERR_INVALID: `state` or `ms` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_time_value(state: *const ns_state, ms: *mut i64, ns: *mut u32) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let (ms, ns) = unsafe { (Out::new(ms, 0), Out::new(ns, 0)) };
        let ms = ms.required("ms")?;
        // SAFETY: as above.
        let (millis, nanos) = unsafe { with(state, State::time_millis) }?;
        ms.put(millis);
        ns.put(nanos);
        Ok(())
    })
}

/// Reads the value as what it was sent as, whatever its kind: `out->kind` is ns_state_kind, and
/// `out->as` has the value. Text, bytes and extensions are `out->len` bytes at `out->as.p`, text with
/// a NUL behind them; so is the MessagePack of arrays and maps. There is nothing to read of
/// NS_KIND_NIL and NS_KIND_CLEARED. ns_app_send takes `*out` as it is, unless it is NS_KIND_CLEARED.
///
/// What `out->as.p` leads to belongs to the state; on failure `*out` is nil. Does not block. Any
/// thread.
///
/// - NS_ERR_INVALID: NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_value(state: *const ns_state, out: *mut ns_value) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands.
        let out = unsafe { Out::new(out, ns_value::nil()) }.required("out")?;
        // SAFETY: as above.
        out.put(unsafe { with(state, ns_value::of) }?);
        Ok(())
    })
}

/// The value as JSON, whatever its kind, NUL-terminated, and its length without that NUL; `len` may be
/// NULL. Bytes become base64, a timestamp a string like "2026-11-28T23:20:33.123Z" (RFC 3339; of the
/// years 0 to 9999), any other extension {"ext":type,"data":base64}, NaN and infinities null.
///
/// Made at the first call and kept with the state: `*json` belongs to it; on failure it is "" and
/// `*len` 0. Does not block. Any thread.
///
/// - NS_ERR_NO_MEMORY: there is no memory for the text
/// - NS_ERR_INVALID: `state` or `json` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_json(state: *const ns_state, json: *mut *const c_char, len: *mut usize) -> ns_status {
    let json = (json, c"".as_ptr(), "json");
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe {
        read_slice(state, json, (len, false), |state| {
            let with_nul = state.json_c()?;
            Ok((with_nul.as_ptr().cast(), with_nul.len() - 1))
        })
    })
}

/// The value as MessagePack, whatever its kind, as it was sent.
///
/// `*value` belongs to the state; on failure it is NULL and `*len` 0. Does not block. Any thread.
///
/// - NS_ERR_INVALID: `state`, `value` or `len` is NULL
#[no_mangle]
pub unsafe extern "C" fn ns_state_msgpack(
    state: *const ns_state,
    value: *mut *const c_void,
    len: *mut usize,
) -> ns_status {
    // SAFETY: the arguments are as the header demands.
    status(|| unsafe {
        read_slice(state, (value, ptr::null(), "value"), (len, true), |state| {
            let value = state.msgpack();
            Ok((value.as_ptr().cast(), value.len()))
        })
    })
}

/// One more reference to the state, to be freed as well. Keeps a state that a callback borrowed.
/// Returns `state`; NULL for NULL.
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_state_ref(state: *const ns_state) -> *mut ns_state {
    // SAFETY: the arguments are as the header demands.
    value(ptr::null_mut(), || unsafe { with(state, |state| Ok(into_raw(state.clone()))) })
}

/// Gives one reference back; with the last one the state and what was read from it are gone. NULL is
/// ignored.
///
/// Does not block. Any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_state_free(state: *mut ns_state) {
    if state.is_null() {
        return;
    }
    value((), || {
        // SAFETY: a reference of the caller's, as the header demands.
        drop(unsafe { from_raw(state) });
        Ok(())
    });
}
