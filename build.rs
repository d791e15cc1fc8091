//! Link arguments of the shared library, and the target for the tests that compile C.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo:rustc-env=NANOSTATE_TARGET={target}");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The number changes when a symbol goes or changes its meaning: never, if it can be helped.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnanostate.so.0");
        // Threads and thread-local destructors run this code: it must stay mapped after dlclose.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
