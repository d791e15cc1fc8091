//! What this library is and has.

use std::ffi::{c_char, CStr};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no NUL"),
};

/// What [`ns_has`] affirms, and what it affirms in builds with TLS.
const FEATURES: &[&str] = &["tcp", "ipc", "inproc", "ws", "gateway"];
const WITH_TLS: &[&str] = if cfg!(feature = "tls") { &["tls"] } else { &[] };

/// A part of the version as a number.
const fn number(digits: &str) -> u32 {
    let digits = digits.as_bytes();
    let (mut number, mut i) = (0, 0);
    while i < digits.len() {
        number = number * 10 + (digits[i] - b'0') as u32;
        i += 1;
    }
    number
}

/// The version of the library that runs, "0.1.0"; NS_VERSION is that of the header.
///
/// The text is static. Does not block, cannot fail; any thread.
#[no_mangle]
pub extern "C" fn ns_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The version of the library that runs as one number, major << 16 | minor << 8 | patch, to compare
/// with NS_VERSION_NUMBER.
///
/// Does not block, cannot fail; any thread.
#[no_mangle]
pub extern "C" fn ns_version_number() -> u32 {
    number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"))
}

/// Whether this build has a feature: "tcp", "ipc", "inproc", "ws", "tls", "gateway". False for any
/// other name and for NULL.
///
/// Does not block, cannot fail; any thread.
#[no_mangle]
pub unsafe extern "C" fn ns_has(feature: *const c_char) -> bool {
    if feature.is_null() {
        return false;
    }
    // SAFETY: not NULL, and NUL-terminated as the header demands.
    let feature = unsafe { CStr::from_ptr(feature) }.to_bytes();
    FEATURES.iter().chain(WITH_TLS).any(|known| known.as_bytes() == feature)
}
