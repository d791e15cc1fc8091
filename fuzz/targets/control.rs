//! What an app and its hub say to each other; see `nanostate_fuzz::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanostate_fuzz::control(bytes));
