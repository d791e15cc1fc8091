//! Error texts.

use std::cell::RefCell;
use std::ffi::{c_char, CString};

use super::names::Names;
use super::ns_status;
use crate::{Error, Status};

/// How many failures of its thread a text of `ns_last_error` outlives. The header says so.
const OUTLIVED: usize = 16;

thread_local! {
    static LAST: RefCell<Ring> = const { RefCell::new(Ring { texts: [const { None }; OUTLIVED + 1], newest: 0 }) };
}

/// The texts of a thread's last failures. A program may pass one on together with a call that fails,
/// `printf("%d %s", ns_app_fd(a), ns_last_error())`, in whichever order its compiler evaluates them.
struct Ring {
    texts: [Option<CString>; OUTLIVED + 1],
    newest: usize,
}

impl Ring {
    fn push(&mut self, text: CString) {
        self.newest = (self.newest + 1) % self.texts.len();
        self.texts[self.newest] = Some(text);
    }

    fn newest(&self) -> *const c_char {
        self.texts[self.newest].as_deref().unwrap_or_default().as_ptr()
    }
}

/// Keeps this thread's last error. A thread that is ending has none any more.
pub(super) fn set_last(error: &Error) {
    let mut text = error.to_string().into_bytes();
    text.retain(|byte| *byte != 0);
    let text = CString::new(text).unwrap_or_default();
    let _ = LAST.try_with(|last| last.borrow_mut().push(text));
}

/// What a status means, in English: "timed out". For a number that is no status: "unknown status".
///
/// The text is static. Does not block, cannot fail; any thread.
#[no_mangle]
pub extern "C" fn ns_strerror(status: ns_status) -> *const c_char {
    static TEXTS: Names = Names::new();
    TEXTS.get(status, || Status::ALL.iter().map(|status| (status.code(), status.text())), c"unknown status")
}

/// The last failure of a nanostate function in this thread, in words that name the value at fault:
/// "connection refused: tcp://127.0.0.1:15000". "" if none has failed. Success does not change it.
///
/// The text belongs to the thread, and stays valid for the next 16 failures of nanostate functions in
/// it, or until the thread ends. Does not block, cannot fail; any thread.
#[no_mangle]
pub extern "C" fn ns_last_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().newest()).unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn strerror(status: ns_status) -> &'static str {
        // SAFETY: a static text.
        unsafe { CStr::from_ptr(ns_strerror(status)) }.to_str().unwrap()
    }

    #[test]
    fn every_number_has_a_text() {
        for status in Status::ALL {
            assert_eq!(strerror(status.code()), status.text());
        }
        assert_eq!(strerror(1), "unknown status");
        assert_eq!(strerror(i32::MIN), "unknown status");
    }

    #[test]
    fn a_nul_in_a_message_does_not_cut_it() {
        set_last(&Error::new(Status::Name, "name \"a\0b\""));
        // SAFETY: the last error of this thread.
        assert_eq!(unsafe { CStr::from_ptr(ns_last_error()) }.to_bytes(), b"name \"ab\"");
    }
}
