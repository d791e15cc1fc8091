//! Where log lines go: nowhere, to a function of the program, or to standard error.
//!
//! The library writes through the `log` crate. In a C program this module is the logger; a Rust program that has
//! installed one of its own keeps it.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void, CString};
use std::io::Write as _;
use std::sync::{Once, OnceLock, RwLock};

use log::{LevelFilter, Log, Metadata, Record};

use super::{value, Carried};
use crate::{Error, Result, Status};

/// A level of the log. Nothing.
pub const NS_LOG_OFF: c_int = 0;
/// What went wrong for good.
pub const NS_LOG_ERROR: c_int = 1;
/// What goes wrong and goes on: refused peers, malformed messages.
pub const NS_LOG_WARN: c_int = 2;
/// Joins, leaves, connects.
pub const NS_LOG_INFO: c_int = 3;
/// Every step of a connection.
pub const NS_LOG_DEBUG: c_int = 4;
/// Every message.
pub const NS_LOG_TRACE: c_int = 5;

/// Gets a line of the log: an NS_LOG_ level and a text, which is borrowed for the call.
///
/// Called from any thread that uses nanostate and from its own, also from several at once. It must
/// return soon and call no nanostate function.
pub type ns_log_fn = Option<unsafe extern "C" fn(level: c_int, text: *const c_char, ctx: *mut c_void)>;

/// The environment variable that lets the log out to standard error.
const VARIABLE: &str = "NANOSTATE_LOG";

/// The program's function; `None` is standard error. A level of `Off` silences both.
struct Sink {
    function: ns_log_fn,
    ctx: Carried<c_void>,
}

/// A read lock is held while the function runs, so that a writer knows when it has returned. Readers do not keep each
/// other out: a child of `fork` is not stuck behind a line that its parent was writing.
static SINK: RwLock<Sink> = RwLock::new(Sink { function: None, ctx: Carried(std::ptr::null_mut()) });

thread_local! {
    /// Whether this thread is inside the program's function.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || INSIDE.get() {
            return;
        }
        let sink = SINK.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        match sink.function {
            Some(function) => {
                let text = CString::new(record.args().to_string().replace('\0', "")).unwrap_or_default();
                INSIDE.set(true);
                // SAFETY: the text outlives the call, and the function and `ctx` are as the header demands.
                unsafe { function(record.level() as c_int, text.as_ptr(), sink.ctx.get()) };
                INSIDE.set(false);
            }
            None => stderr_line(record),
        }
    }

    fn flush(&self) {}
}

/// One line in one write, so that lines of several processes do not mix. Not through `std::io::stderr`, whose lock
/// another thread may have held at a `fork`.
fn stderr_line(record: &Record<'_>) {
    let mut line = Vec::with_capacity(128);
    let _ = writeln!(line, "nanostate {} {}", record.level().as_str().to_lowercase(), record.args());
    // SAFETY: the bytes are those of a live vector. A short or failed write has nobody to be told to.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

/// Lets the log out to standard error if the environment says so; once. A program that has a logger of its own keeps it.
pub(crate) fn start_log() {
    static START: Once = Once::new();
    START.call_once(|| {
        let level = std::env::var(VARIABLE).ok().and_then(|level| level.trim().parse().ok());
        if let Some(level) = level.filter(|level| *level != LevelFilter::Off) {
            install(level);
        }
    });
}

/// Makes this module the logger, unless the program has another.
fn install(level: LevelFilter) {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    if *INSTALLED.get_or_init(|| log::set_logger(&Logger).is_ok()) {
        log::set_max_level(level);
    }
}

fn set(function: ns_log_fn, level: c_int, ctx: *mut c_void) -> Result<()> {
    if INSIDE.get() {
        return Err(Error::new(Status::State, "ns_set_log inside the log function"));
    }
    // The environment counts until now only.
    start_log();
    let level = LevelFilter::iter().nth(level.max(0) as usize).unwrap_or(LevelFilter::Trace);
    let mut sink = SINK.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    *sink = Sink { function, ctx: Carried(ctx) };
    install(level);
    Ok(())
}

/// Sends the log of all handles to `function`, lines up to `level`, an NS_LOG_ number: NS_LOG_WARN is
/// errors and warnings, NS_LOG_OFF silences it. With `function` NULL they go to standard error.
///
/// Until it is called, the environment variable NANOSTATE_LOG decides: "error", "warn", "info",
/// "debug" or "trace" lets lines out to standard error; otherwise the library is silent.
///
/// When it returns, the function before is not running and will not run. `ctx` is passed to
/// `function` and otherwise left alone. Waits for a running call of it. Any thread; inside the
/// function itself it does nothing.
#[no_mangle]
pub unsafe extern "C" fn ns_set_log(function: ns_log_fn, level: c_int, ctx: *mut c_void) {
    value((), || set(function, level, ctx));
}
