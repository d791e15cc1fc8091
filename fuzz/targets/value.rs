//! Values of MessagePack; see `nanostate_fuzz::value`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nanostate_fuzz::value(bytes));
