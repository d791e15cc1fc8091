//! Requests to the HTTP side of a hub; see `nanostate_fuzz::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanostate_fuzz::request(bytes));
