//! Link arguments of the shared library, and the target for the tests that compile C.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo:rustc-env=NANOSTATE_TARGET={target}");
    // Where src/ffi/enter.rs has a frame of its own for calls of the program's functions.
    println!("cargo:rustc-check-cfg=cfg(own_frame)");
    if ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"].contains(&target.as_str()) {
        println!("cargo:rustc-cfg=own_frame");
    }
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The number changes when a symbol goes or changes its meaning: never, if it can be helped.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnanostate.so.0");
        // Threads and thread-local destructors run this code: it must stay mapped after dlclose.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
