//! NNG started and ended, its failures in the words of this crate, and its log.

use std::ffi::{c_char, c_int, CStr};
use std::fmt::Display;
use std::panic::catch_unwind;
use std::sync::OnceLock;

use ::nng as sys;
use log::Level;
use parking_lot::Mutex;

use crate::runtime::thread::with_signals_blocked;
use crate::transport::fork::Birth;
use crate::transport::occupy_standard;
use crate::{Error, Result, Status};

/// How many [`Library`]s there are.
static COUNT: Mutex<usize> = Mutex::new(0);
/// The first process that started NNG. In its children NNG ends the process with the first lock that it takes.
static FIRST: OnceLock<Birth> = OnceLock::new();

/// NNG, initialised. Its threads run while there is at least one; they have ended when the last one is dropped.
#[derive(Debug)]
pub struct Library {
    birth: Birth,
}

impl Library {
    /// Starts NNG with as few threads as it can do with, or counts one more user.
    ///
    /// [`Status::State`] in a child of a process that has started it, at any time: NNG cannot be used there.
    pub fn start() -> Result<Library> {
        // Before the lock, which another thread of the parent may have held.
        if FIRST.get().is_some_and(|first| first.forked()) {
            return Err(Error::new(
                Status::State,
                format!("{}: NNG was started before the process forked", Status::State.text()),
            ));
        }
        let mut count = COUNT.lock();
        let birth = Birth::here();
        if *count == 0 {
            FIRST.get_or_init(|| birth);
            init()?;
        }
        *count += 1;
        Ok(Library { birth })
    }

    /// Whether this is a child of the process that started it: then nothing of NNG may be called.
    pub(super) fn forked(&self) -> bool {
        self.birth.forked()
    }

    /// [`Status::State`] in a child.
    pub(super) fn check(&self) -> Result<()> {
        if self.forked() {
            return Err(Error::new(Status::State, format!("{}: the process has forked", Status::State.text())));
        }
        Ok(())
    }
}

impl Clone for Library {
    fn clone(&self) -> Library {
        if !self.forked() {
            *COUNT.lock() += 1;
        }
        Library { birth: self.birth }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if self.forked() {
            return;
        }
        // Held until NNG's threads have ended: who starts it meanwhile waits.
        let mut count = COUNT.lock();
        *count -= 1;
        if *count == 0 {
            // SAFETY: initialised; everything that uses NNG holds a `Library`, and this was the last one.
            unsafe { sys::nng_fini() };
        }
    }
}

fn init() -> Result<()> {
    occupy_standard().map_err(|error| Error::io(&error, "/dev/null, in front of NNG"))?;
    let params = sys::nng_init_params {
        // The least that it takes.
        num_task_threads: 2,
        max_task_threads: 2,
        num_expire_threads: 1,
        max_expire_threads: 1,
        num_poller_threads: 1,
        max_poller_threads: 1,
        num_resolver_threads: 1,
        ..Default::default()
    };
    // NNG's threads have the mask of the caller; by itself it blocks SIGPIPE alone.
    with_signals_blocked(|| {
        // SAFETY: the parameters are valid and copied; calls are serialised by the lock that `start` holds.
        let code = unsafe { sys::nng_init(&params) };
        if code == sys::nng_err::NNG_EBUSY {
            // The program uses the same NNG, and has started it as it wants it.
            // SAFETY: as above.
            return check(unsafe { sys::nng_init(std::ptr::null()) }.0 as c_int, "NNG");
        }
        check(code.0 as c_int, "NNG")?;
        // SAFETY: nothing uses NNG yet, so nothing logs while the two variables are set; the function is valid for
        // ever.
        unsafe {
            sys::nng_log_set_level(sys::nng_log_level::NNG_LOG_INFO);
            sys::nng_log_set_logger(Some(logger));
        }
        Ok(())
    })
}

/// NNG's log, as that of the target `nanostate::nng`.
///
/// NNG warns of each oversize message and each peer of the wrong protocol. No peer may fill the log: a warning is one
/// only the first time that NNG gives it, and of use to who debugs after that.
unsafe extern "C" fn logger(
    level: sys::nng_log_level,
    _: sys::nng_log_facility,
    id: *const c_char,
    text: *const c_char,
) {
    let words = |pointer: *const c_char| {
        if pointer.is_null() {
            return String::new();
        }
        // SAFETY: NNG gives strings that end with NUL and live until the logger returns.
        unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
    };
    // A logger of the program may panic.
    let _ = catch_unwind(|| {
        let id = words(id);
        log::log!(target: "nanostate::nng", severity(level, &id), "{id}: {}", words(text));
    });
}

/// The level that a record of NNG has in our log. `id` is what NNG calls this kind of record.
pub(super) fn severity(level: sys::nng_log_level, id: &str) -> Level {
    /// The kinds that were told; NNG has a dozen.
    static WARNED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    match level {
        sys::nng_log_level::NNG_LOG_ERR => Level::Error,
        sys::nng_log_level::NNG_LOG_WARN => {
            let mut warned = WARNED.lock();
            if warned.iter().any(|known| known == id) {
                return Level::Debug;
            }
            warned.push(id.to_owned());
            Level::Warn
        }
        _ => Level::Debug,
    }
}

/// An error for what NNG returned, unless it is 0; `what` names the value at fault.
pub(super) fn check(code: c_int, what: impl Display) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(error(sys::nng_err(code as u32), what)),
    }
}

/// What NNG returned, in the words of this crate.
pub(super) fn error(code: sys::nng_err, what: impl Display) -> Error {
    use sys::nng_err as E;
    if code.0 & E::NNG_ESYSERR.0 != 0 {
        return Error::io(&std::io::Error::from_raw_os_error((code.0 & !E::NNG_ESYSERR.0) as i32), what);
    }
    let status = match code {
        E::NNG_EINVAL => Status::Invalid,
        E::NNG_ENOMEM => Status::NoMemory,
        E::NNG_ETIMEDOUT => Status::Timeout,
        E::NNG_ECONNREFUSED => Status::Refused,
        E::NNG_ECLOSED | E::NNG_ESTOPPED => Status::Closed,
        E::NNG_EAGAIN => Status::Full,
        E::NNG_ENOTSUP => Status::Unsupported,
        E::NNG_EADDRINUSE => Status::InUse,
        E::NNG_ESTATE | E::NNG_EBUSY => Status::State,
        E::NNG_ENOENT => Status::NotFound,
        E::NNG_EADDRINVAL => Status::Url,
        E::NNG_EPERM => Status::Permission,
        E::NNG_EMSGSIZE => Status::TooLarge,
        E::NNG_EINTERNAL => Status::Internal,
        _ => Status::Io,
    };
    match status {
        // `Display` of NNG's code is its text.
        Status::Io | Status::Internal => Error::new(status, format!("{code}: {what}")),
        _ => Error::new(status, format!("{}: {what}", status.text())),
    }
}
