//! Message bodies; see `nanostate_fuzz::body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanostate_fuzz::body(bytes));
