//! What `libnanostate.a` asks of the programs that link it: the symbols of an old glibc, and nothing that gets in the way
//! of what they link besides.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::build::{
    compile_c, compiler, library, output, root, run, scratch, system_libraries, Link, Standard,
};

/// The newest version of glibc whose symbols may be demanded: Rust's own minimum.
const GLIBC: [u32; 2] = [2, 17];

/// Demanded, and of no version up to [`GLIBC`] in the dynamic libraries of this machine.
const OTHERS: &[(&str, &str)] = &[
    ("fstat64", "in the static part of every glibc before 2.33"),
    ("lstat64", "in the static part of every glibc before 2.33"),
    ("stat64", "in the static part of every glibc before 2.33"),
    ("atexit", "in the static part of every glibc"),
    ("pthread_atfork", "in the static part of every glibc"),
];

/// Undefined symbols of a binding, `GLOBAL` or `WEAK`, in an object or archive.
fn undefined(file: &Path, binding: &str) -> Vec<String> {
    let table = output("readelf", ["-sW"].map(Path::new), &[file]);
    let columns = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut names: Vec<String> = columns
        .filter(|c| c.len() == 8 && c[4] == binding && c[6] == "UND" && c[7] != "_GLOBAL_OFFSET_TABLE_")
        .map(|c| c[7].to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The oldest version of each symbol of a system's library, as far as it is one of glibc.
fn versions(library: &str, oldest: &mut BTreeMap<String, [u32; 2]>) {
    let path = output("cc", [format!("-print-file-name={library}")].iter().map(Path::new), &[]);
    let table = output("readelf", ["-W", "--dyn-syms"].map(Path::new), &[Path::new(path.trim())]);
    for symbol in table.lines().filter_map(|line| line.split_whitespace().nth(7)) {
        let Some((name, version)) = symbol.split_once('@') else { continue };
        let Some(version) = version.trim_start_matches('@').strip_prefix("GLIBC_") else { continue };
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(u32::MAX));
        let version = [parts.next().unwrap(), parts.next().unwrap_or(0)];
        oldest.entry(name.to_owned()).and_modify(|old| *old = version.min(*old)).or_insert(version);
    }
}

#[test]
#[cfg(target_env = "gnu")]
fn the_static_library_demands_what_an_old_glibc_has() {
    let mut oldest = BTreeMap::new();
    let loader = if cfg!(target_arch = "x86_64") { "ld-linux-x86-64.so.2" } else { "ld-linux-aarch64.so.1" };
    for library in ["libc.so.6", "libpthread.so.0", "libm.so.6", "libdl.so.2", "librt.so.1", loader] {
        versions(library, &mut oldest);
    }
    assert!(oldest.len() > 1000, "{}", oldest.len());
    let demanded = undefined(&library().archive, "GLOBAL");
    assert!(demanded.len() > 50, "{demanded:?}");
    let too_new: Vec<_> = demanded
        .iter()
        .filter(|name| !name.starts_with("_Unwind_") && !OTHERS.iter().any(|(other, _)| other == name))
        .filter(|name| oldest.get(*name).is_none_or(|version| *version > GLIBC))
        .collect();
    assert!(too_new.is_empty(), "{too_new:?}");
}

/// What Rust's standard library uses if it is there.
#[test]
fn what_is_weak_stays_weak() {
    let weak = undefined(&library().archive, "WEAK");
    let global = undefined(&library().archive, "GLOBAL");
    for name in ["__cxa_thread_atexit_impl", "gettid", "statx"] {
        assert!(weak.contains(&name.to_owned()) && !global.contains(&name.to_owned()), "{name}");
    }
}

/// A source of a test, in C.
fn source(name: &str, text: &str) -> PathBuf {
    let path = scratch("src").join(name);
    fs::write(&path, text).unwrap();
    path
}

/// A program with a weak reference of its own to what this machine need not have.
#[test]
fn a_program_with_a_weak_reference_links() {
    let text = "
        #include <nanostate.h>
        extern int pidfd_spawnp(void) __attribute__((weak));
        extern int nobody_has_this(void) __attribute__((weak));
        int main(void)
        {
            ns_app *app;
            int status = ns_app_new(\"weak\", &app);
            ns_app_free(app);
            return status != NS_OK || (pidfd_spawnp && nobody_has_this);
        }
    ";
    run(&mut Command::new(compile_c("weak", &[source("weak.c", text)], Standard::C99, Link::Static, &[])));
}

/// Another static library in Rust, which contains the same standard library.
#[test]
fn another_static_library_in_rust_links_beside_it() {
    let text = "
        #[no_mangle]
        pub extern \"C\" fn other_threads() -> u32 {
            let threads: Vec<_> = (1..4).map(|n| std::thread::spawn(move || n)).collect();
            let spawned = std::process::Command::new(\"/bin/true\").current_dir(\"/\").status();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>() + u32::from(spawned.is_err())
        }
    ";
    let other = scratch("lib").join("libother.a");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--crate-type", "staticlib", "--crate-name", "other", "--target", env!("NANOSTATE_TARGET"), "-O"]);
    run(command.arg("-o").arg(&other).arg(source("other.rs", text)).current_dir(root()));
    let text = "
        #include <nanostate.h>
        unsigned other_threads(void);
        int main(void)
        {
            ns_hub *hub;
            int status = ns_hub_new(&hub);
            if (status == NS_OK)
                status = ns_hub_listen(hub, \"tcp://127.0.0.1:0\");
            ns_hub_free(hub);
            return status != NS_OK || other_threads() != 6;
        }
    ";
    let other = other.to_str().unwrap();
    for order in [vec![other], vec!["-Wl,--whole-archive", other, "-Wl,--no-whole-archive"]] {
        let flags: Vec<&str> = order.into_iter().chain(["-lutil", "-lrt", "-lpthread", "-lm", "-ldl"]).collect();
        let sources = [source("beside_rust.c", text)];
        run(&mut Command::new(compile_c("beside-rust", &sources, Standard::C99, Link::Static, &flags)));
    }
}

/// A shared library made of the static one, as a plug-in or a binding of another language is.
#[test]
fn a_program_links_against_a_shared_library_made_of_it() {
    let shared = scratch("lib").join("libplugin.so");
    let mut command = compiler(Standard::C99);
    command.args(["-shared", "-fPIC", "-Wl,--whole-archive"]).arg(&library().archive).arg("-Wl,--no-whole-archive");
    run(command.args(system_libraries()).arg("-pthread").arg("-o").arg(&shared));
    let text = "
        #include <nanostate.h>
        int main(void) { return ns_version_number() != NS_VERSION_NUMBER; }
    ";
    let program = scratch("bin").join("against-shared");
    let mut command = compiler(Standard::C99);
    command.arg("-I").arg(root().join("include")).arg(source("against_shared.c", text)).arg(&shared);
    command.arg(format!("-Wl,-rpath,{}", shared.parent().unwrap().display())).arg("-o").arg(&program);
    run(&mut command);
    run(&mut Command::new(program));
}
