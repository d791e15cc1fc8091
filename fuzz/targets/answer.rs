//! Answers to an app that asks for a WebSocket; see `nanostate_fuzz::answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanostate_fuzz::answer(bytes));
