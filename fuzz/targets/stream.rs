//! Streams of frames; see `nanostate_fuzz::stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanostate_fuzz::stream(bytes));
