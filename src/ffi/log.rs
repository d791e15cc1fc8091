//! Log lines for a function of the program.

use std::ffi::{c_char, c_int, c_void, CString};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use log::LevelFilter;

use super::enter::enter;
use super::value;
use crate::logging::{self, Line};
use crate::{Error, Result, Status};

/// A level of the log. Nothing.
pub const NS_LOG_OFF: c_int = 0;
/// Failures that end something: a handle that is closed.
pub const NS_LOG_ERROR: c_int = 1;
/// Problems that end nothing: refused peers, malformed messages.
pub const NS_LOG_WARN: c_int = 2;
/// Joins, leaves, connects.
pub const NS_LOG_INFO: c_int = 3;
/// Every step of a connection.
pub const NS_LOG_DEBUG: c_int = 4;
/// Every message.
pub const NS_LOG_TRACE: c_int = 5;

/// Gets a line of the log: an NS_LOG_ level and a text, which is borrowed for the call. The text is
/// one line without a newline; characters that are not visible, from peers for instance, are escaped.
///
/// Called from the log's own thread, one line at a time, some time after the event. A slow function
/// delays that thread only: up to 4096 lines wait for it, later ones are dropped, and a line tells how
/// many. It must call no nanostate function.
pub type ns_log_fn = Option<unsafe extern "C" fn(level: c_int, text: *const c_char, ctx: *mut c_void)>;

/// The program's function; `None` is standard error.
static SINK: Sink = Sink { places: [SinkSlot::new(), SinkSlot::new()], current: AtomicUsize::new(0) };

/// Two places of which one counts, so that it is whole in a child of `fork`, whatever its parent was doing.
struct Sink {
    places: [SinkSlot; 2],
    current: AtomicUsize,
}

struct SinkSlot {
    /// An `ns_log_fn` as a pointer; null is none.
    function: AtomicPtr<c_void>,
    ctx: AtomicPtr<c_void>,
}

impl SinkSlot {
    const fn new() -> SinkSlot {
        SinkSlot { function: AtomicPtr::new(ptr::null_mut()), ctx: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl Sink {
    fn get(&self) -> (ns_log_fn, *mut c_void) {
        let place = &self.places[self.current.load(Ordering::Acquire)];
        let function = place.function.load(Ordering::Relaxed);
        // SAFETY: it was made of an `ns_log_fn`, which is a nullable pointer to a function.
        let function = unsafe { std::mem::transmute::<*mut c_void, ns_log_fn>(function) };
        (function, place.ctx.load(Ordering::Relaxed))
    }

    /// Called while the queue hands out no line, unless there was no function: then a line that is on its way is
    /// written to standard error or is the new function's.
    fn set(&self, function: ns_log_fn, ctx: *mut c_void) {
        let next = 1 - self.current.load(Ordering::Relaxed);
        let place = &self.places[next];
        place.function.store(function.map_or(ptr::null_mut(), |function| function as *mut c_void), Ordering::Relaxed);
        place.ctx.store(ctx, Ordering::Relaxed);
        self.current.store(next, Ordering::Release);
    }
}

/// Hands a line to the program's function, if there is one.
fn forward(line: &Line) -> bool {
    let (Some(function), ctx) = SINK.get() else { return false };
    let text = CString::new(line.text.as_str()).unwrap_or_default();
    // SAFETY: the text outlives the call, and the function and `ctx` are as the header demands.
    unsafe { enter!(function, line.level as c_int, text.as_ptr(), ctx) };
    true
}

fn set(function: ns_log_fn, level: c_int, ctx: *mut c_void) -> Result<()> {
    if logging::is_inside() {
        return Err(Error::new(Status::State, "ns_set_log is not possible inside the log function"));
    }
    let level = LevelFilter::iter().nth(level.max(0) as usize).unwrap_or(LevelFilter::Trace);
    let has_function = || SINK.get().0.is_some();
    logging::set(forward, level, has_function, || {
        if function.is_some() || has_function() {
            SINK.set(function, ctx);
        }
    });
    Ok(())
}

/// Sends the log of all handles to `function`, lines up to `level`, an NS_LOG_ number: NS_LOG_WARN is
/// errors and warnings, NS_LOG_OFF silences it. With `function` NULL they go to standard error.
///
/// Until it is called, the environment variable NANOSTATE_LOG decides: "error", "warn", "info",
/// "debug" or "trace" sends lines to standard error; otherwise the library is silent.
///
/// When it returns, the previous function is not running and will not run. It first waits for the
/// lines that are on their way to that function, until none has got out for a second, then for a call
/// that is running. Freeing a handle, and exit, also wait for lines in this way. NS_LOG_OFF ends the
/// log's own thread. `ctx` is passed to `function` and otherwise left alone. In a child of fork the log
/// goes on, from a thread of the child.
///
/// Any thread; inside the function itself it does nothing.
#[no_mangle]
pub unsafe extern "C" fn ns_set_log(function: ns_log_fn, level: c_int, ctx: *mut c_void) {
    value((), || set(function, level, ctx));
}
