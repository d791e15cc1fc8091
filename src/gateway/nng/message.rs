//! Messages.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::{fmt, slice};

use ::nng as sys;

use super::library::check;
use crate::Result;

/// A message.
pub struct Message(NonNull<sys::nng_msg>);

// SAFETY: a message belongs to nobody else, and NNG allocates with malloc.
unsafe impl Send for Message {}

impl Message {
    /// An empty message with room for a body of `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Result<Message> {
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` is writable. NNG need not be initialised for messages.
        check(unsafe { sys::nng_msg_alloc(&mut raw, 0) }, "a message")?;
        // SAFETY: the call gave a message, and nobody else has it.
        let message = unsafe { Message::from_raw(raw) }.expect("NNG gives a message or an error");
        // SAFETY: the message is ours.
        check(unsafe { sys::nng_msg_reserve(message.raw(), bytes) }, format_args!("a message of {bytes} bytes"))?;
        Ok(message)
    }

    /// # Safety
    /// `raw` is null or a message that nobody else has.
    pub(super) unsafe fn from_raw(raw: *mut sys::nng_msg) -> Option<Message> {
        NonNull::new(raw).map(Message)
    }

    pub(super) fn raw(&self) -> *mut sys::nng_msg {
        self.0.as_ptr()
    }

    /// Gives up the message.
    pub(super) fn into_raw(self) -> *mut sys::nng_msg {
        let raw = self.raw();
        std::mem::forget(self);
        raw
    }

    /// What was sent.
    pub fn body(&self) -> &[u8] {
        // SAFETY: the message is ours; NNG gives the place and the length of its body, which nothing changes while
        // `self` is borrowed.
        unsafe { bytes(sys::nng_msg_body(self.raw()), sys::nng_msg_len(self.raw())) }
    }

    /// The connection that a received message came over: [`super::Pipe::id`]. 0 for a message of our own.
    pub fn pipe(&self) -> u32 {
        // SAFETY: the message is ours.
        unsafe { sys::nng_msg_get_pipe(self.raw()) }._bindgen_opaque_blob
    }

    /// Adds to the end of the body.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        // SAFETY: the message is ours, and `bytes` is readable and copied.
        let code = unsafe { sys::nng_msg_append(self.raw(), bytes.as_ptr().cast(), bytes.len()) };
        check(code, format_args!("{} bytes more of a message", bytes.len()))
    }
}

/// # Safety
/// `length` bytes at `start` are readable as long as `'a`; `start` may be anything if there are none.
unsafe fn bytes<'a>(start: *mut c_void, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: what the caller promises.
    unsafe { slice::from_raw_parts(start.cast_const().cast(), length) }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("body", &self.body()).finish()
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the message is ours. It is memory and nothing else: in a forked child, too.
        unsafe { sys::nng_msg_free(self.raw()) };
    }
}
