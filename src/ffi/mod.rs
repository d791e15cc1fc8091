//! The C API: every `ns_*` symbol. It translates and holds no logic of its own.
//!
//! `include/nanostate.h` is generated from these files (`scripts/header`), so their doc comments are the comments of
//! the header: they speak to a C programmer and use no Rust links.
//!
//! Every function runs inside `status` or `value`, which catch panics and keep the thread's last error. A handle
//! is counted: a running call keeps it. A state is the thin pointer of a reference count.

#![allow(unsafe_code)]
#![allow(non_camel_case_types)]
// The header's opening text is the safety contract of every function; repeating it in each would be printed there.
#![allow(clippy::missing_safety_doc)]

mod app;
mod counted;
mod counters;
mod enter;
mod errors;
mod free_guard;
mod hub;
pub(crate) mod log;
mod names;
mod state;
mod types;
mod value;
mod version;

pub use app::*;
pub use errors::*;
pub use hub::*;
pub use log::*;
pub use names::*;
pub use state::*;
pub use types::*;
pub use value::*;
pub use version::*;

use std::any::Any;
use std::ffi::{c_char, c_int, c_void, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::NonNull;
use std::time::Duration;

use crate::runtime::thread::NotCancelled;
use crate::{Error, Result, Status};
use counted::{Counted, HandleRef};

/// Runs the body of a function: a panic becomes [`Status::Internal`], and a failure becomes this thread's last error.
///
/// Cancellation is off inside: it would unwind through Rust, which aborts.
fn run<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    let _not_cancelled = NotCancelled::here();
    let outcome =
        catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(Error::new(Status::Internal, words(&*panic))));
    if let Err(error) = &outcome {
        errors::set_last(error);
    }
    outcome
}

/// [`run`] for functions that return an `ns_status`.
fn status(body: impl FnOnce() -> Result<()>) -> ns_status {
    match run(body) {
        Ok(()) => NS_OK,
        Err(error) => error.status().code(),
    }
}

/// [`run`] for functions that return something else, and `failed` when they fail.
fn value<T>(failed: T, body: impl FnOnce() -> Result<T>) -> T {
    run(body).unwrap_or(failed)
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let said = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    format!("{}: {said}", Status::Internal.text())
}

fn invalid(text: String) -> Error {
    Error::new(Status::Invalid, text)
}

fn null(what: &str) -> Error {
    invalid(format!("{what} is NULL"))
}

/// What is behind a handle, for the time of a call.
///
/// # Safety
/// `handle` is NULL, or of [`Counted::new`] and not freed when the call begins.
unsafe fn held<T>(handle: *const Counted<T>, what: &str) -> Result<HandleRef<T>> {
    let handle = NonNull::new(handle.cast_mut()).ok_or_else(|| null(what))?;
    // SAFETY: as the caller promises.
    unsafe { Counted::hold(handle) }.ok_or_else(|| Status::Closed.into())
}

/// A NUL-terminated argument.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that is not changed during `'a`.
unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(null(what));
    }
    // SAFETY: not NULL, and NUL-terminated as the caller promises.
    utf8(unsafe { CStr::from_ptr(text) }.to_bytes(), what)
}

fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let good = String::from_utf8_lossy(&bytes[at.saturating_sub(32)..at]).into_owned();
        Error::new(
            Status::Utf8,
            format!("{what} is {} at byte {at} (0x{:02x}), after \"{good}\"", Status::Utf8.text(), bytes[at]),
        )
    })
}

/// A pointer and length argument; `(NULL, 0)` is empty.
///
/// # Safety
/// `data` is NULL or points to `len` bytes that are not changed during `'a`.
unsafe fn data<'a>(data: *const c_void, len: usize, what: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(invalid(format!("{what} is NULL with length {len}")));
    }
    if len > isize::MAX as usize {
        return Err(invalid(format!("{what} has length {len}")));
    }
    // SAFETY: not NULL, and `len` bytes long as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// A time-out in milliseconds; -1 is indefinite.
fn timeout(ms: c_int, what: &str) -> Result<Option<Duration>> {
    match u64::try_from(ms) {
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) if ms == -1 => Ok(None),
        Err(_) => Err(invalid(format!("{what} is {ms}: neither -1 nor a number of milliseconds"))),
    }
}

/// An out-parameter. It holds a safe value from the start, so that a failure leaves that.
struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `out` is NULL or valid for writes as long as this lives.
    unsafe fn new(out: *mut T, safe: T) -> Out<T> {
        if !out.is_null() {
            // SAFETY: valid for writes as the caller promises.
            unsafe { out.write(safe) };
        }
        Out(out)
    }

    /// Refuses NULL.
    fn required(self, what: &str) -> Result<Out<T>> {
        if self.0.is_null() {
            return Err(null(what));
        }
        Ok(self)
    }

    /// Writes, unless the pointer is NULL.
    fn put(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: valid for writes as `new` demands.
            unsafe { self.0.write(value) };
        }
    }
}

/// A struct that may grow: the caller says how large its own is. What this library does not know stays 0.
struct OutStruct<T> {
    out: *mut T,
    size: usize,
}

impl<T: Copy> OutStruct<T> {
    /// # Safety
    /// `out` is NULL or valid for writes of `size` bytes as long as this lives. `T` has no padding.
    unsafe fn new(out: *mut T, size: usize) -> Result<OutStruct<T>> {
        if out.is_null() {
            return Err(null("out"));
        }
        if size == 0 || size > isize::MAX as usize {
            return Err(invalid(format!("size is {size}")));
        }
        // SAFETY: valid for `size` bytes as the caller promises.
        unsafe { out.cast::<u8>().write_bytes(0, size) };
        Ok(OutStruct { out, size })
    }

    fn put(&self, value: &T) {
        let known = self.size.min(size_of::<T>());
        // SAFETY: `new` demands `size` writable bytes; a reference does not overlap them.
        unsafe { std::ptr::from_ref(value).cast::<u8>().copy_to_nonoverlapping(self.out.cast::<u8>(), known) };
    }
}

/// A `ctx` pointer or a handle on its way to the thread that runs a callback.
struct Carried<T>(*mut T);

// SAFETY: it is only carried; what the C program does with it there is its own agreement with itself, as the header
// says of `ctx`, and handles may be used from any thread.
unsafe impl<T> Send for Carried<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Carried<T> {}

impl<T> Carried<T> {
    /// A method, so that closures capture the whole and not the pointer.
    fn get(&self) -> *mut T {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_internal_error_with_its_words() {
        assert_eq!(status(|| panic!("table {} is gone", 7)), NS_ERR_INTERNAL);
        // SAFETY: the last error is a string of this thread.
        let said = unsafe { CStr::from_ptr(ns_last_error()) };
        assert_eq!(said.to_str(), Ok("internal error: table 7 is gone"));
        assert_eq!(value(9, || panic!("static")), 9);
    }

    #[test]
    fn a_time_out_is_milliseconds_or_minus_one() {
        assert_eq!(timeout(-1, "t"), Ok(None));
        assert_eq!(timeout(0, "t"), Ok(Some(Duration::ZERO)));
        assert_eq!(timeout(1500, "t"), Ok(Some(Duration::from_millis(1500))));
        assert_eq!(timeout(-2, "t").unwrap_err().status(), Status::Invalid);
    }

    #[test]
    fn bad_utf_8_is_named_by_its_byte() {
        assert_eq!(
            utf8(b"ab\xff", "name").unwrap_err().to_string(),
            "name is not valid UTF-8 at byte 2 (0xff), after \"ab\""
        );
    }

    #[test]
    fn a_struct_of_the_caller_may_be_shorter_or_longer_than_ours() {
        let ours = [1_u64, 2];
        let mut theirs = [9_u64; 4];
        // SAFETY: the sizes lie inside the array.
        unsafe { OutStruct::new(theirs.as_mut_ptr().cast::<[u64; 2]>(), 8) }.unwrap().put(&ours);
        assert_eq!(theirs, [1, 9, 9, 9]);
        // SAFETY: as above.
        unsafe { OutStruct::new(theirs.as_mut_ptr().cast::<[u64; 2]>(), 24) }.unwrap().put(&ours);
        assert_eq!(theirs, [1, 2, 0, 9]);
    }
}
